package harness

import "testing"

func TestMentions(t *testing.T) {
	for text, want := range map[string]bool{
		"/tmp/script-pull":                        true,
		"HOME=/tmp/script-pull/home\x00A=b":       true,
		"WORK=/tmp/script-pull\x00A=b":            true,
		"/tmp/script-pull (deleted)":              true,
		"/tmp/script-pull-wrong":                  false,
		"/tmp/script-pull-wrong /tmp/script-pull": true,
		"/tmp/script-pul":                         false,
		"":                                        false,
	} {
		if got := mentions(text, "/tmp/script-pull"); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
