package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"
)

// templateFuncs are docker's, with its names and its order of arguments; println and the
// like are of text/template itself.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"json": func(v any) (string, error) {
			var text bytes.Buffer
			e := json.NewEncoder(&text)
			e.SetEscapeHTML(false)
			err := e.Encode(v)
			return strings.TrimSpace(text.String()), err
		},
		"join": strings.Join, "split": strings.Split, "title": title, "lower": strings.ToLower, "upper": strings.ToUpper,
		"pad": pad, "truncate": truncate,
	}
}

// headFuncs are those that leave the heads of a table alone; pad moves them with their columns.
func headFuncs() template.FuncMap {
	return template.FuncMap{"json": same, "title": same, "lower": same, "upper": same,
		"truncate": func(s string, _ int) string { return s }}
}

func same(s string) string { return s }

// title writes the first letter of each word large.
func title(s string) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		start := !unicode.IsLetter(before) && !unicode.IsDigit(before) && before != '_'
		if before = r; start {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

// pad puts spaces around what is not empty.
func pad(s string, before, after int) string {
	if s == "" {
		return s
	}
	return strings.Repeat(" ", before) + s + strings.Repeat(" ", after)
}

// truncate keeps the first bytes, and of what is not ASCII whole characters.
func truncate(s string, length int) string {
	if len(s) <= length {
		return s
	}
	s = s[:length]
	for i := 1; i < utf8.UTFMax && i <= len(s); i++ {
		if c := s[len(s)-i:]; utf8.RuneStart(c[0]) {
			if !utf8.FullRuneInString(c) {
				return s[:len(s)-i]
			}
			break
		}
	}
	return s
}
