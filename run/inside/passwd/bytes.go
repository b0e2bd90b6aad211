package passwd

// The few byte functions that would otherwise bring package bytes along.

// nextLine cuts the first line off, without its end and the blanks around it.
// A comment comes out empty.
func nextLine(text []byte) (line, rest []byte) {
	line = text
	for i, c := range text {
		if c == '\n' {
			line, rest = text[:i], text[i+1:]
			break
		}
	}
	for len(line) > 0 && blank(line[0]) {
		line = line[1:]
	}
	for len(line) > 0 && blank(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	if len(line) > 0 && line[0] == '#' {
		line = nil
	}
	return line, rest
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// field cuts the text before the first colon off.
func field(line []byte) (first, rest []byte) {
	for i, c := range line {
		if c == ':' {
			return line[:i], line[i+1:]
		}
	}
	return line, nil
}

func number(text []byte) (int, bool) {
	if len(text) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
		if n > maxID {
			return 0, false
		}
	}
	return int(n), true
}

// contains tells whether a comma-separated list has the word.
func contains(list []byte, word string) bool {
	start := 0
	for i := 0; i <= len(list); i++ {
		if i == len(list) || list[i] == ',' {
			if string(list[start:i]) == word {
				return true
			}
			start = i + 1
		}
	}
	return false
}

func hasNUL(line []byte) bool {
	for _, c := range line {
		if c == 0 {
			return true
		}
	}
	return false
}
