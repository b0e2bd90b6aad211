package option_test

import (
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"rl/run/plan/option"
)

func lookup(name string) (string, bool) {
	value, ok := map[string]string{"HOME": "/home/ann", "EMPTY": "", "LANG": "C=x"}[name]
	return value, ok
}

func TestParseEnv(t *testing.T) {
	table(t, func(s string) (option.Env, error) { return option.ParseEnv(s, lookup) }, []row[option.Env]{
		{in: "A=b", want: option.Env{Name: "A", Value: "b"}},
		{in: "A=", want: option.Env{Name: "A"}},
		{in: "A=b=c ", want: option.Env{Name: "A", Value: "b=c "}},
		{in: "A=\"q\"\n2", want: option.Env{Name: "A", Value: "\"q\"\n2"}},
		{in: "HOME", want: option.Env{Name: "HOME", Value: "/home/ann"}},
		{in: "LANG", want: option.Env{Name: "LANG", Value: "C=x"}},
		{in: "EMPTY", want: option.Env{Name: "EMPTY"}},
		{in: "MISSING", want: option.Env{Name: "MISSING", Unset: true}},
		{in: "a.b-c d=1", want: option.Env{Name: "a.b-c d", Value: "1"}},

		{in: "", err: "no name", hint: "NAME=VALUE"},
		{in: "=b", err: "no name"},
		{in: "A=b\x00c", err: "NUL"},
	})
}

func TestApplyEnv(t *testing.T) {
	for _, c := range []struct {
		base []string
		vars []option.Env
		want []string
	}{
		{nil, nil, []string{}},
		{[]string{"PATH=/bin", "A=1"}, nil, []string{"PATH=/bin", "A=1"}},
		{[]string{"PATH=/bin", "A=1"}, []option.Env{{Name: "B", Value: "2"}, {Name: "PATH", Value: "/x"}}, []string{"PATH=/x", "A=1", "B=2"}},
		{[]string{"A=1"}, []option.Env{{Name: "A", Value: "2"}, {Name: "A", Value: "3"}}, []string{"A=3"}},
		{[]string{"A=1", "B=2"}, []option.Env{{Name: "A", Unset: true}, {Name: "C", Unset: true}}, []string{"B=2"}},
		{[]string{"A=1"}, []option.Env{{Name: "A", Unset: true}, {Name: "A", Value: "2"}}, []string{"A=2"}},
		{[]string{"broken", "=x", "A=1", "A=2"}, nil, []string{"A=2"}},
		{[]string{"A=1"}, []option.Env{{Name: "A"}}, []string{"A="}},
	} {
		before := append([]string{}, c.base...)
		if got := option.ApplyEnv(c.base, c.vars); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q and %v: %q, want %q", c.base, c.vars, got, c.want)
		}
		if len(c.base) > 0 && !reflect.DeepEqual(before, c.base) {
			t.Errorf("the list was changed: %q", c.base)
		}
	}
}

func TestParseEnvFile(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	table(t, func(s string) ([]option.Env, error) {
		return option.ParseEnvFile(strings.NewReader(s), "vars.env", lookup)
	}, []row[[]option.Env]{
		{in: "", want: nil},
		{in: "A=1\nB=2", want: []option.Env{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}},
		{in: "\xef\xbb\xbfA=1\r\n\r\n  # c\n\t B=2 # not a comment \n", want: []option.Env{{Name: "A", Value: "1"}, {Name: "B", Value: "2 # not a comment "}}},
		{in: `A="$HOME"` + "\nB='x'\nC=\\n\n", want: []option.Env{{Name: "A", Value: `"$HOME"`}, {Name: "B", Value: "'x'"}, {Name: "C", Value: `\n`}}},
		{in: "HOME\nMISSING\nEMPTY\n", want: []option.Env{{Name: "HOME", Value: "/home/ann"}, {Name: "EMPTY"}}},
		{in: "A=1\nA=2\n", want: []option.Env{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}}},
		{in: "A= x=y \n", want: []option.Env{{Name: "A", Value: " x=y "}}},
		{in: "A=" + long + "\nB=é\n", want: []option.Env{{Name: "A", Value: long}, {Name: "B", Value: "é"}}},

		{in: "A=1\n\n=2\n", err: "vars.env: line 3: no name", hint: "NAME=VALUE"},
		{in: "A =1\n", err: `line 1: the name "A " has blanks`},
		{in: "# c\nexport A=1\n", err: `line 2: the name "export A" has blanks`, hint: "without export"},
		{in: "two words\n", err: "has blanks"},
		{in: "A=1\nB=\xff\n", err: "line 2: not UTF-8"},
		{in: "A=1\x00\n", err: "line 1: a NUL byte"},
		{in: "A\x1b=1\n", err: "control characters"},
		{in: "A=1\nB=" + strings.Repeat("x", 1<<20), err: "line 2: longer than 1 MiB"},
		{in: strings.Repeat("A="+strings.Repeat("x", 1<<19)+"\n", 65), err: "line 64: the file is larger than 32 MiB"},
	})
	broken := io.MultiReader(strings.NewReader("A=1\n"), iotest.ErrReader(io.ErrClosedPipe))
	if _, err := option.ParseEnvFile(broken, "vars.env", lookup); err == nil || !strings.Contains(err.Error(), "vars.env: io: read/write on closed pipe") {
		t.Errorf("error %v", err)
	}
}

func TestParseLabels(t *testing.T) {
	table(t, option.ParseLabel, []row[option.Label]{
		{in: "a=b", want: option.Label{Key: "a", Value: "b"}},
		{in: "com.example/x=b=c", want: option.Label{Key: "com.example/x", Value: "b=c"}},
		{in: " a", want: option.Label{Key: "a"}},
		{in: "", err: "no key", hint: "KEY=VALUE"},
		{in: "=b", err: "no key"},
		{in: "a b=c", err: "blanks"},
	})
	table(t, func(s string) ([]option.Label, error) { return option.ParseLabelFile(strings.NewReader(s), "labels") }, []row[[]option.Label]{
		{in: "a=b\n# c\nd\n", want: []option.Label{{Key: "a", Value: "b"}, {Key: "d"}}},
		{in: "a=b\nc d=e\n", err: "labels: line 2: the name"},
	})
}
