package cli

import (
	"bufio"
	"bytes"
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
// "table TEMPLATE" has a heading, anything else is a Go template. Rows of any type are
// descriptions, which are no table.
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
	row, heading := reflect.TypeFor[T](), false
	if rest, ok := strings.CutPrefix(text, "table "); ok && row.Kind() == reflect.Struct {
		text, heading = rest, true
	}
	t, err := parseTemplate(text)
	if err != nil {
		return err
	}
	to, flush := io.Writer(out), out.Flush
	if row.Kind() == reflect.Struct {
		columns := tabwriter.NewWriter(out, 10, 1, 3, ' ', 0)
		to, flush = columns, func() error { return errors.Join(columns.Flush(), out.Flush()) }
	}
	if heading {
		head, err := t.Clone()
		if err != nil {
			return templateError(err)
		}
		if err := head.Funcs(headFuncs()).Execute(to, headings(row)); err != nil {
			return templateError(err)
		}
		fmt.Fprintln(to)
	}
	for _, r := range rows {
		text, err := fill(t, r)
		if err != nil {
			return err
		}
		fmt.Fprintln(to, text)
	}
	return flush()
}

// fill executes a template on a value, whose fields have docker's names in Go, and where that
// fails on what JSON shows of it: so {{.ID}} and {{.Id}} are both right, as they are for docker.
func fill(t *template.Template, v any) (string, error) {
	var text strings.Builder
	if t.Execute(&text, v) == nil {
		return text.String(), nil
	}
	shown, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	var raw any
	d := json.NewDecoder(bytes.NewReader(shown))
	d.UseNumber()
	if err := d.Decode(&raw); err != nil {
		return "", err
	}
	if t, err = t.Clone(); err == nil {
		text.Reset()
		err = t.Option("missingkey=error").Execute(&text, raw)
	}
	if err != nil {
		return "", templateError(err)
	}
	return text.String(), nil
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
	t, err := template.New("").Funcs(templateFuncs()).Parse(text)
	if err != nil {
		return nil, templateError(err)
	}
	return t, nil
}

func templateError(err error) error {
	return fault.New("see the Go package text/template, as for docker's --format", "bad --format: %s", strings.TrimPrefix(err.Error(), "template: "))
}
