// Package option reads the values of rl's options: what docker's users write
// after -v, --mount, --ulimit, --security-opt and the rest.
//
// Every parser takes the text and returns a typed value or an error of one line
// that names the option and the text, says why it cannot be, and hints at what
// would be right. Spellings and meanings are docker's; where docker accepts what
// it then ignores, or what only root could do, the value says so in its Notices,
// which are to be shown. What podman adds is read where rl can do it.
//
// Nothing here looks at the machine: relative paths, "host-gateway" and names of
// users come out as they were written, and whoever knows the machine resolves
// them. Files come as an io.Reader, the environment as a function. The package
// is on the way of every start, so its tables are plain arrays that cost nothing
// until they are read.
package option

import (
	"strconv"
	"strings"
	"unicode"

	"rl/userns/sys/fault"
)

// maxShown is how much of a wrong value an error repeats.
const maxShown = 120

// bad is the error of one option's value.
func bad(kind, value, hint string, why ...string) error {
	return fault.New(hint, "%s %s: %s", kind, quote(value), strings.Join(why, ""))
}

// plain is a piece of what the user wrote for a hint that shows it as it is to
// be typed: without control characters, and not endless.
func plain(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

// quote keeps an error on one line and readable whatever the value was.
func quote(s string) string {
	if len(s) > maxShown {
		return strconv.Quote(s[:maxShown]) + "…"
	}
	return strconv.Quote(s)
}

// meant is the hint for a word that is not in a list: the nearest that is, or the list.
func meant(word string, words []string) string {
	if near := Nearest(word, words); near != "" {
		return "did you mean " + strconv.Quote(near) + "?"
	}
	return "known are " + strings.Join(words, ", ")
}

// hasNUL tells whether a value could not be passed to the kernel as a string.
func hasNUL(s string) bool { return strings.IndexByte(s, 0) >= 0 }

// isBool reads docker's booleans: 1, true, 0, false.
func isBool(s string) (value, ok bool) {
	switch s {
	case "1", "true", "True", "TRUE":
		return true, true
	case "0", "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// isName tells whether s is a name that docker gives to containers and volumes:
// [a-zA-Z0-9][a-zA-Z0-9_.-]+, at most 255 bytes so that it can be a file's.
func isName(s string) bool {
	if len(s) < 2 || len(s) > 255 || !isAlnum(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}
