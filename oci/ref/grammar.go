package ref

import (
	"strconv"
	"strings"
)

// The grammar of distribution/reference, as small predicates over bytes: the
// original is a page of regular expressions, which cost a millisecond at start.

const (
	maxPath   = 255 // RepositoryNameTotalLengthMax: the path, without the domain
	maxTag    = 128
	maxDomain = 253 + len(":65535") // DNS's longest name and a port
	maxQuoted = 100                 // of somebody's input in an error
)

// isDomain tells a registry from the first part of a path, docker's way:
// a dot, a colon, or localhost.
func isDomain(first string) bool {
	return strings.ContainsAny(first, ".:") || strings.EqualFold(first, "localhost")
}

// checkDomain: labels joined by dots, or an IPv6 address in brackets; a port.
func checkDomain(s string) *mistake {
	bad := func(why string) *mistake {
		return wrong("the registry "+quote(s)+" "+why, "a registry is HOST or HOST:PORT")
	}
	if len(s) > maxDomain {
		return bad("has too long a name")
	}
	host, port, ported := strings.Cut(s, ":")
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 2 || !isIPv6(s[1:end]) {
			return bad("is not an IPv6 address in brackets")
		}
		host, port, ported = "", s[end+1:], end+1 < len(s)
		if ported && !strings.HasPrefix(port, ":") {
			return bad("has something after the bracket that is not a port")
		}
		port = strings.TrimPrefix(port, ":")
	}
	if ported {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return bad("has a port that is not a number from 1 to 65535")
		}
	}
	if strings.HasPrefix(s, "[") {
		return nil
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' || !all(label, isLabel) {
			return bad("is not a host name")
		}
	}
	return nil
}

// checkPath: components joined by slashes; each is runs of lower-case letters
// and digits joined by one of . _ __ or any number of dashes.
func checkPath(s string) *mistake {
	switch {
	case s == "":
		return wrong("the name is missing", "write REGISTRY/NAME:TAG")
	case len(s) > maxPath:
		return wrong("the name is longer than 255 characters", "")
	case strings.ToLower(s) != s:
		return wrong("the repository name must be lower case", "did you mean "+quote(strings.ToLower(s))+"?")
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" {
			return wrong("the name has an empty part", "remove the slash too many")
		}
		if !isComponent(part) {
			return wrong("the name "+quote(part)+" is not allowed",
				"names are of a-z and 0-9, joined by single . or _, by __ or by dashes")
		}
	}
	return nil
}

func isComponent(s string) bool {
	for i := 0; ; {
		run := i
		for i < len(s) && isAlnum(s[i]) {
			i++
		}
		if i == run {
			return false // empty, or begins or ends with a separator
		}
		if i == len(s) {
			return true
		}
		sep := i
		for i < len(s) && !isAlnum(s[i]) {
			i++
		}
		switch between := s[sep:i]; {
		case between == ".", between == "_", between == "__", strings.Trim(between, "-") == "":
		default:
			return false
		}
	}
}

// checkTag: [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}
func checkTag(s string) *mistake {
	switch {
	case s == "":
		return wrong("the tag is empty", "leave out the colon, or write a tag after it")
	case len(s) > maxTag:
		return wrong("the tag is longer than 128 characters", "")
	case s[0] == '.' || s[0] == '-' || !all(s, isTagByte):
		return wrong("the tag "+quote(s)+" is not allowed",
			"a tag is of letters, digits, _ . and -, and does not begin with . or -")
	}
	return nil
}

// isRefName is the grammar of org.opencontainers.image.ref.name in
// image-spec/annotations.md, a little wider: any order of separators.
func isRefName(s string) bool {
	return s != "" && len(s) <= 512 && all(s, func(c byte) bool {
		return isTagByte(c) || strings.IndexByte(":@+/", c) >= 0
	})
}

// isIdentifier: docker refuses names that could be image ids.
func isIdentifier(s string) bool { return len(s) == 64 && isHex(s) }

func isHex(s string) bool {
	return all(s, func(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' })
}

func isIPv6(s string) bool {
	return strings.Count(s, ":") >= 2 && all(s, func(c byte) bool {
		return c == ':' || '0' <= c && c <= '9' || 'a' <= c && c <= 'f'
	})
}

func isAlnum(c byte) bool   { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
func isLabel(c byte) bool   { return isAlnum(c) || c == '-' }
func isTagByte(c byte) bool { return isLabel(c) || 'A' <= c && c <= 'Z' || c == '_' || c == '.' }

func all(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func itoa(n int) string { return strconv.Itoa(n) }

// quote shows what somebody typed, without the bytes a terminal would obey.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.Quote(s[:maxQuoted]) + "…"
	}
	return strconv.Quote(s)
}
