package cli

import (
	"strings"
	"testing"
)

func TestCheckConfig(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"good", "jobs: 4\ninsecure-registry: [a, b]\nrun:\n  init: true\n  pull: always\n", ""},
		{"one host", "insecure-registry: a\n", ""},
		{"syntax", "jobs: [1\n", "line 1"},
		{"unknown key", "jobs: 3\njob: 4\n", `line 2: unknown setting "job", did you mean "jobs"?`},
		{"unknown key of a verb", "run:\n  inti: true\n", `line 2: unknown setting "run.inti", did you mean "init"?`},
		{"wrong type", "jobs: many\n", `line 1: jobs: "many" is not a number`},
		{"a list at the top", "- jobs\n", "line 1: expected"},
	} {
		err := checkConfig([]byte(c.text))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Every setting is in docs/configuration.md's terms: kong must agree with kebab.
func TestKebabIsKongs(t *testing.T) {
	var g grammar
	parser, err := newParser(&g, Stdio{})
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range parser.Model.Children {
		if node.Name != "run" {
			continue
		}
		known := map[string]bool{}
		for _, f := range node.Flags {
			known[f.Name] = true
		}
		for _, name := range []string{"add-host", "cap-add", "dns-option", "oom-score-adj", "sig-proxy", "env-file"} {
			if !known[name] {
				t.Errorf("no flag --%s", name)
			}
		}
	}
}

func FuzzCheckConfig(f *testing.F) {
	f.Add([]byte("jobs: 4\nrun: {init: true}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := checkConfig(b); err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Error("an error without words")
		}
	})
}
