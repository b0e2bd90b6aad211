package registry

import (
	"net/http"
	"strings"
)

// challenge is one entry of WWW-Authenticate: a scheme and its parameters,
// both with lower-case names (RFC 7235, section 2.1).
type challenge struct {
	scheme string
	params map[string]string
}

// parseChallenges reads all WWW-Authenticate headers. What it cannot read it
// leaves out: then there is no challenge to answer, which is an error soon after.
func parseChallenges(h http.Header) []challenge {
	var all []challenge
	for _, line := range h.Values("Www-Authenticate") {
		all = append(all, parseChallenge(line)...)
	}
	return all
}

// parseChallenge reads `Bearer realm="…",service="…", Basic realm="…"`: a word
// without an equals sign begins a new challenge.
func parseChallenge(s string) []challenge {
	var found []challenge
	for {
		s = strings.TrimLeft(s, " \t,")
		word := token(s)
		if word == "" {
			return found
		}
		rest := strings.TrimLeft(s[len(word):], " \t")
		if !strings.HasPrefix(rest, "=") || len(found) == 0 {
			found = append(found, challenge{strings.ToLower(word), map[string]string{}})
			s = rest
			continue
		}
		value, rest, ok := parameter(strings.TrimLeft(rest[1:], " \t"))
		if !ok {
			return found
		}
		found[len(found)-1].params[strings.ToLower(word)] = value
		s = rest
	}
}

// token is the longest prefix without separators.
func token(s string) string {
	if i := strings.IndexAny(s, " \t,=\""); i >= 0 {
		return s[:i]
	}
	return s
}

// parameter reads a token or a quoted string, and what follows it.
func parameter(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value = token(s)
		return value, s[len(value):], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i < len(s) {
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
