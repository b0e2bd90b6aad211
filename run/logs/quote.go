package logs

import (
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// quote writes bytes as the inside of a JSON string. A byte that is not part of
// UTF-8 becomes a lone low surrogate, \udc80 to \udcff, as in Python's
// surrogateescape (PEP 383): other readers show a replacement character, [unquote]
// gives the byte back.
func quote(b, line []byte) []byte {
	from := 0 // what stays as it is
	for i := 0; i < len(line); {
		c := line[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, line[from:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			from = i
			continue
		}
		r, n := utf8.DecodeRune(line[i:])
		if r == utf8.RuneError && n == 1 {
			b = append(append(b, line[from:i]...), '\\', 'u', 'd', 'c', hex[c>>4], hex[c&15])
			from = i + 1
		}
		i += n
	}
	return append(b, line[from:]...)
}

var errQuoted = errors.New("not the inside of a JSON string")

// unquote appends the bytes of the inside of a JSON string.
func unquote(b, s []byte) ([]byte, error) {
	for len(s) > 0 {
		if s[0] != '\\' {
			n := 1
			for n < len(s) && s[n] != '\\' {
				n++
			}
			b, s = append(b, s[:n]...), s[n:]
			continue
		}
		if len(s) < 2 {
			return b, errQuoted
		}
		switch c := s[1]; c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'n':
			b = append(b, '\n')
		case 't':
			b = append(b, '\t')
		case 'r':
			b = append(b, '\r')
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'u':
			r, ok := escape(s)
			if !ok {
				return b, errQuoted
			}
			s = s[4:]
			if next, ok := escape(s[min(2, len(s)):]); ok && utf16.IsSurrogate(r) {
				if both := utf16.DecodeRune(r, next); both != utf8.RuneError {
					r, s = both, s[6:]
				}
			}
			if r >= 0xdc80 && r <= 0xdcff { // a byte
				b = append(b, byte(r))
			} else {
				b = utf8.AppendRune(b, r)
			}
		default:
			return b, errQuoted
		}
		s = s[2:]
	}
	return b, nil
}

// escape reads \uXXXX.
func escape(s []byte) (r rune, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for _, c := range s[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
