package option

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"rl/userns/sys/fault"
)

// Bounds of an env or label file. The kernel takes no string of more than 128 KiB
// (MAX_ARG_STRLEN), so nothing that could be used is refused.
const (
	maxEnvLine = 1 << 20
	maxEnvFile = 32 << 20
)

// ParseEnvFile reads --env-file by docker's rules: NAME=VALUE a line, blank
// lines and lines that begin with # passed over, blanks before a name too. The
// value is the rest of the line as it is: quotes, $ and # mean nothing. A NAME
// alone has the caller's value, or is left out when the caller has none. File
// names the file in errors, which tell the line.
func ParseEnvFile(r io.Reader, file string, lookup Lookup) ([]Env, error) {
	var vars []Env
	err := eachPair(r, file, func(name, value string, hasValue bool) {
		if !hasValue {
			if value, hasValue = lookup(name); !hasValue {
				return
			}
		}
		vars = append(vars, Env{Name: name, Value: value})
	})
	if err != nil {
		return nil, err
	}
	return vars, nil
}

// Label is one of --label or --label-file.
type Label struct{ Key, Value string }

// ParseLabel reads KEY=VALUE, or KEY alone for an empty value.
func ParseLabel(s string) (Label, error) {
	const kind = "label"
	const hint = "write KEY=VALUE"
	key, value, _ := strings.Cut(s, "=")
	key = strings.TrimLeft(key, " \t")
	switch {
	case key == "":
		return Label{}, bad(kind, s, hint, "no key")
	case strings.ContainsAny(key, " \t\r\n\x00"):
		return Label{}, bad(kind, s, hint, "a key cannot have blanks")
	}
	return Label{key, value}, nil
}

// ParseLabelFile reads --label-file, whose rules are those of an env file. A KEY
// alone has an empty value, as with --label (docker drops such lines).
func ParseLabelFile(r io.Reader, file string) ([]Label, error) {
	var labels []Label
	err := eachPair(r, file, func(key, value string, _ bool) { labels = append(labels, Label{key, value}) })
	if err != nil {
		return nil, err
	}
	return labels, nil
}

// eachPair calls do for each line of a key-value file.
func eachPair(r io.Reader, file string, do func(key, value string, hasValue bool)) error {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxEnvLine)
	line, total := 0, 0
	fail := func(hint, why string) error {
		return fault.New(hint, "%s: line %d: %s", file, line, why)
	}
	for scanner.Scan() {
		line++
		raw := scanner.Bytes()
		if line == 1 {
			raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
		}
		if total += len(raw); total > maxEnvFile {
			return fail("", "the file is larger than 32 MiB")
		}
		switch {
		case !utf8.Valid(raw):
			return fail("save the file as UTF-8", "not UTF-8")
		case bytes.IndexByte(raw, 0) >= 0:
			return fail("", "a NUL byte")
		}
		text := strings.TrimLeftFunc(string(raw), unicode.IsSpace)
		if text == "" || text[0] == '#' {
			continue
		}
		key, value, hasValue := strings.Cut(text, "=")
		switch {
		case key == "":
			return fail("write NAME=VALUE", "no name before the =")
		case strings.ContainsAny(key, " \t"):
			return fail("write NAME=VALUE, without export and without blanks around the =", "the name "+quote(key)+" has blanks")
		case strings.IndexFunc(key, unicode.IsControl) >= 0:
			return fail("write NAME=VALUE", "the name "+quote(key)+" has control characters")
		}
		do(key, value, hasValue)
	}
	if err := scanner.Err(); err != nil {
		line++
		if errors.Is(err, bufio.ErrTooLong) {
			return fail("", "longer than 1 MiB")
		}
		return fault.New("", "%s: %w", file, err)
	}
	return nil
}
