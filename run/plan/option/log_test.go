package option

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseLog(t *testing.T) {
	for _, c := range []struct {
		driver, opts string
		want         Log
		err          string
	}{
		{"", "", Log{}, ""},
		{"json-file", "max-size=10m max-file=3", Log{Driver: "json-file", MaxSize: 10e6, MaxFile: 3}, ""},
		{"", "max-size=1.5kB", Log{MaxSize: 1500}, ""},
		{"", "max-size=2gib", Log{MaxSize: 2e9}, ""},
		{"", "labels=a,b env=C tag={{.Name}} env-regex=^X compress=false", Log{Labels: []string{"a", "b"}, Env: []string{"C"}, Tag: "{{.Name}}", EnvRegex: "^X"}, ""},
		{"journald", "tag=x labels-regex=.", Log{Driver: "journald", Tag: "x", LabelsRegex: "."}, ""},
		{"none", "", Log{Driver: "none"}, ""},
		{"passthrough", "", Log{Driver: "passthrough"}, ""},
		{"journald", "max-size=1m", Log{}, "no such option"},
		{"none", "tag=x", Log{}, "takes no options"},
		{"k8s-file", "", Log{}, "does not write that format"},
		{"local", "", Log{}, "does not write that format"},
		{"syslog", "", Log{}, "no such driver"},
		{"", "max-file=3", Log{}, "without max-size"},
		{"", "max-size=0", Log{}, "not a size"},
		{"", "max-size=-1", Log{}, "not a size"},
		{"", "max-size=NaN", Log{}, "not a size"},
		{"", "max-size=9999999t", Log{}, "not a size"},
		{"", "max-size=x", Log{}, "not a size"},
		{"", "max-size", Log{}, "no value"},
		{"", "max-size=1 max-file=0", Log{}, "not a number of files"},
		{"", "compress=true max-size=1m", Log{}, "nothing to compress"},
		{"", "compress=perhaps", Log{}, "neither true"},
		{"", "compress=true max-size=1m max-file=2", Log{Compress: true, MaxSize: 1000000, MaxFile: 2}, ""},
		{"", "env-regex=(", Log{}, "not a regular expression"},
		{"", "mx-size=1m", Log{}, "no such option"},
	} {
		got, err := ParseLog(c.driver, strings.Fields(c.opts))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s %s: %v, want %s", c.driver, c.opts, err, c.err)
			}
		} else if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %s: %+v, %v", c.driver, c.opts, got, err)
		}
	}
}

// What inspect shows is what would be asked for again.
func TestLogOptions(t *testing.T) {
	opts := []string{"max-size=1500k", "max-file=3", "compress=true", "tag={{.ID}}", "labels=a,b", "env=C", "labels-regex=^x", "env-regex=y$"}
	l, err := ParseLog("", opts)
	if err != nil {
		t.Fatal(err)
	}
	got := l.Options()
	if len(got) != len(opts) {
		t.Errorf("%v", got)
	}
	for _, o := range opts {
		if k, v, _ := strings.Cut(o, "="); got[k] != v {
			t.Errorf("%s: %q", o, got[k])
		}
	}
	for text, want := range map[string]string{"10m": "10m", "1k": "1k", "1234": "1234", "1000000": "1m", "2g": "2g"} {
		if n, err := humanSize(text); err != nil || shortSize(n) != want {
			t.Errorf("%s: %s, %v", text, shortSize(n), err)
		}
	}
}
