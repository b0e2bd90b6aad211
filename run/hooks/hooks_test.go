package hooks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"good", `{"version":"1.0.0","hook":{"path":"/bin/true","args":["a"],"env":["A=1"],"timeout":3},"when":{"always":true},"stages":["prestart"]}`, ""},
		{"no version", `{"hook":{"path":"/bin/true"},"when":{"always":true},"stages":["prestart"]}`, `version is ""`},
		{"old version", `{"version":"0.1.0","hook":"/bin/true","stage":["prestart"]}`, `"0.1.0", and 1.0.0 is known`},
		{"relative", `{"version":"1.0.0","hook":{"path":"true"},"stages":["prestart"]}`, "not absolute"},
		{"stage", `{"version":"1.0.0","hook":{"path":"/bin/true"},"stages":["precreate"]}`, `stage "precreate": not one of`},
		{"no stage", `{"version":"1.0.0","hook":{"path":"/bin/true"}}`, "there is none"},
		{"regexp", `{"version":"1.0.0","hook":{"path":"/bin/true"},"when":{"commands":["("]},"stages":["prestart"]}`, "missing closing"},
		{"timeout", `{"version":"1.0.0","hook":{"path":"/bin/true","timeout":0},"stages":["prestart"]}`, "not a number of seconds"},
		{"unknown key", `{"version":"1.0.0","hook":{"path":"/bin/true"},"when":{"alway":true},"stages":["prestart"]}`, "alway"},
		{"syntax", `{`, "unexpected end"},
	} {
		_, err := Parse([]byte(c.text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestSelect(t *testing.T) {
	yes, no := true, false
	spec := &specs.Spec{Process: &specs.Process{Args: []string{"/usr/bin/python3", "x"}}, Annotations: map[string]string{"org.example.gpu": "all", "other": "1"}}
	for _, c := range []struct {
		name  string
		when  When
		binds bool
		want  bool
	}{
		{"nothing asked", When{}, true, false},
		{"always", When{Always: &yes}, false, true},
		{"never", When{Always: &no, Commands: []string{"."}}, false, false},
		{"annotation", When{Annotations: map[string]string{`\.gpu$`: "^all$"}}, false, true},
		{"another's value", When{Annotations: map[string]string{`\.gpu$`: "^1$"}}, false, false},
		{"one of two annotations", When{Annotations: map[string]string{`\.gpu$`: "all", "none": ""}}, false, false},
		{"command", When{Commands: []string{"^/bin/", "python3$"}}, false, true},
		{"other command", When{Commands: []string{"^python"}}, false, false},
		{"binds", When{HasBindMounts: &yes}, true, true},
		{"no binds", When{HasBindMounts: &yes}, false, false},
		{"all but one", When{Always: &yes, Commands: []string{"ruby"}}, false, false},
	} {
		h := Select([]Config{{Hook: specs.Hook{Path: "/h"}, When: c.when, Stages: []string{"createRuntime", "poststop"}}}, spec, c.binds)
		if got := h != nil; got != c.want {
			t.Errorf("%s: %v", c.name, h)
		}
		if h != nil && (len(h.CreateRuntime) != 1 || len(h.Poststop) != 1 || len(h.Poststart) != 0) {
			t.Errorf("%s: %+v", c.name, h)
		}
	}
}

func TestRead(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	put := func(dir, name, path string) {
		text := `{"version":"1.0.0","hook":{"path":"` + path + `"},"when":{"always":true},"stages":["prestart"]}`
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(a, "2.json", "/bin/sh")
	put(a, "1.json", "/bin/true")
	put(a, "README", "no")
	put(b, "1.json", "/bin/false")
	list, err := Read([]string{a, b})
	if err != nil || len(list) != 2 || list[0].Hook.Path != "/bin/false" || list[1].Hook.Path != "/bin/sh" {
		t.Errorf("%+v, %v", list, err)
	}
	put(a, "3.json", "/no/such/program")
	if _, err := Read([]string{a}); err == nil || !strings.Contains(err.Error(), "3.json: stat /no/such/program") {
		t.Errorf("a hook that is not there: %v", err)
	}
	if _, err := Read([]string{"/no/such/dir"}); err == nil {
		t.Error("a directory that is not there")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"version":"1.0.0","hook":{"path":"/bin/true"},"when":{"annotations":{"a":"b"}},"stages":["prestart"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Parse(b)
		if err == nil {
			Select([]Config{c}, &specs.Spec{Annotations: map[string]string{"a": "b"}}, true) // panics on what was not checked
		}
	})
}
