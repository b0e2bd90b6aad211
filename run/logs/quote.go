package logs

import (
	"encoding/json"
	"errors"
	"unicode/utf8"
)

const hex = "0123456789abcdef"

// quote writes bytes as the inside of a JSON string. A byte that is not part of
// UTF-8 becomes a lone low surrogate, \udc80 to \udcff, as in Python's
// surrogateescape (PEP 383): other readers show a replacement character, [unquote]
// gives the byte back.
func quote(b, line []byte) []byte {
	for len(line) > 0 {
		c := line[0]
		if c < utf8.RuneSelf {
			line = line[1:]
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c == '\n':
				b = append(b, '\\', 'n')
			case c < 0x20 || c == 0x7f:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			default:
				b = append(b, c)
			}
			continue
		}
		r, n := utf8.DecodeRune(line)
		if r == utf8.RuneError && n == 1 {
			b = append(b, '\\', 'u', 'd', 'c', hex[c>>4], hex[c&15])
		} else {
			b = append(b, line[:n]...)
		}
		line = line[n:]
	}
	return b
}

// unquote gives the bytes of a JSON string, quotes included.
func unquote(s []byte) ([]byte, error) {
	if len(s) < 2 || s[0] != '"' {
		return nil, errors.New("not a string")
	}
	body := s[1 : len(s)-1]
	var parts, quoted []byte
	for from := 0; ; {
		i := lone(body, from)
		end := i
		if i < 0 {
			end = len(body)
		}
		quoted = append(append(append(quoted[:0], '"'), body[from:end]...), '"')
		text, err := plain(quoted)
		if err != nil {
			return nil, err
		}
		parts = append(parts, text...)
		if i < 0 {
			return parts, nil
		}
		parts = append(parts, unhex(body[i+4])<<4|unhex(body[i+5]))
		from = i + 6
	}
}

func plain(s []byte) (string, error) {
	var text string
	err := json.Unmarshal(s, &text)
	return text, err
}

// lone finds the next \udcXX that stands for a byte, -1 when there is none.
func lone(s []byte, from int) int {
	for i := from; i+5 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if s[i+1] == 'u' && s[i+2] == 'd' && s[i+3] == 'c' {
			return i
		}
		i++ // whatever is escaped
	}
	return -1
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}
