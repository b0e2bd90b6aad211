package run

import "testing"

// What is typed arrives whole and in order, but for the detach keys, wherever
// reads happen to cut it.
func TestDetector(t *testing.T) {
	for _, c := range []struct {
		keys  string
		reads []string
		out   string
		found bool
	}{
		{"\x10\x11", []string{"ls\n"}, "ls\n", false},
		{"\x10\x11", []string{"a\x10\x11b"}, "a", true},
		{"\x10\x11", []string{"a\x10", "\x11"}, "a", true},
		{"\x10\x11", []string{"\x10x"}, "\x10x", false},
		{"\x10\x11", []string{"\x10\x10\x11"}, "\x10", true},
		{"\x10\x11", []string{"\x10", "\x10", "y"}, "\x10\x10y", false},
		{"q", []string{"abcq"}, "abc", true},
		{"", []string{"\x10\x11"}, "\x10\x11", false},
		{"aab", []string{"aaab"}, "a", true},
	} {
		d := detector{keys: []byte(c.keys)}
		var out string
		found := false
		for _, r := range c.reads {
			var b []byte
			b, found = d.feed([]byte(r))
			out += string(b)
		}
		if out != c.out || found != c.found {
			t.Errorf("%q in %q: %q, %v; want %q, %v", c.keys, c.reads, out, found, c.out, c.found)
		}
	}
}
