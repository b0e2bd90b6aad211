package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"text/tabwriter"
	"text/template"

	"rl/userns/sys/fault"
)

// table writes columns as docker does: three spaces between them.
func table(w io.Writer, lines [][]string) error {
	out := bufio.NewWriter(w) // a tabwriter writes cell by cell
	t := tabwriter.NewWriter(out, 10, 1, 3, ' ', 0)
	for _, l := range lines {
		fmt.Fprintln(t, strings.Join(l, "\t"))
	}
	return errors.Join(t.Flush(), out.Flush())
}

// format writes each row by docker's --format: "json" is a JSON object a line,
// "table TEMPLATE" has a heading, anything else is a Go template.
func format[T any](w io.Writer, text string, rows []T) error {
	out := bufio.NewWriter(w)
	if text == "json" {
		for _, r := range rows {
			if err := json.NewEncoder(out).Encode(r); err != nil {
				return err
			}
		}
		return out.Flush()
	}
	heading := false
	if rest, ok := strings.CutPrefix(text, "table "); ok {
		text, heading = rest, true
	}
	t, err := parseTemplate(text)
	if err != nil {
		return err
	}
	tw := tabwriter.NewWriter(out, 10, 1, 3, ' ', 0)
	if heading {
		if err := t.Execute(tw, headings(reflect.TypeFor[T]())); err != nil {
			return templateError(err)
		}
		fmt.Fprintln(tw)
	}
	for _, r := range rows {
		if err := t.Execute(tw, r); err != nil {
			return templateError(err)
		}
		fmt.Fprintln(tw)
	}
	return errors.Join(tw.Flush(), out.Flush())
}

// heads are what stands above columns; a label's is the last part of its name, as docker has it.
type heads map[string]string

// Label is the head of the column of a label.
func (heads) Label(name string) string {
	return strings.NewReplacer("-", " ", "_", " ").Replace(name[strings.LastIndexByte(name, '.')+1:])
}

// headings maps each field to its name as a column's head, or to its tag "head".
func headings(t reflect.Type) heads {
	m := heads{}
	for i := range t.NumField() {
		name := t.Field(i).Name
		m[name] = strings.ToUpper(name)
	}
	m["ID"], m["CreatedSince"] = "IMAGE ID", "CREATED"
	for i := range t.NumField() {
		if head := t.Field(i).Tag.Get("head"); head != "" {
			m[t.Field(i).Name] = head
		}
	}
	return m
}

func parseTemplate(text string) (*template.Template, error) {
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	t, err := template.New("").Funcs(template.FuncMap{
		"json": func(v any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
		"join": strings.Join, "upper": strings.ToUpper, "lower": strings.ToLower, "split": strings.Split,
		"println": fmt.Sprintln,
	}).Parse(text)
	if err != nil {
		return nil, templateError(err)
	}
	return t, nil
}

func templateError(err error) error {
	return fault.New("see the Go package text/template, as for docker's --format", "bad --format: %s", strings.TrimPrefix(err.Error(), "template: "))
}
