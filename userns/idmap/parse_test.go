package idmap_test

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"rl/userns/idmap"
	"rl/userns/sys/fault"
)

func TestParseSub(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       spans
		err        string
	}{
		{"by name", "root:1:2\nann:100000:65536\n", spans{{100000, 65536}}, ""},
		{"by uid", "1000:5:6\n10:7:8\n1000\n", spans{{5, 6}}, ""},
		{"both, in order", "ann:500:10\nbob:1:1\n1000:200:10\nann:100:10", spans{{500, 10}, {200, 10}, {100, 10}}, ""},
		{"the same twice", "ann:500:10\n1000:500:10\n", spans{{500, 10}}, ""},
		{"none", "bob:1:2\n", nil, ""},
		{"empty", "", nil, ""},
		{"comments, blanks, carriage returns", "# ann:1:2\n\n  \t\n ann:3:4 \r\n", spans{{3, 4}}, ""},
		{"garbage of others", "bob\nbob:x:y\nbob:1:0\n::\n:\n\x00\xff\nbob:1:99999999999\nann:3:4\n", spans{{3, 4}}, ""},
		{"names that begin alike", "anna:1:2\nan:3:4\n", nil, ""},
		{"no name, no match for an empty owner", ":1:2\n", nil, ""},
		{"a huge line of another", strings.Repeat("x", 1<<20) + "\nann:3:4\n", spans{{3, 4}}, ""},
		{"the last id", "ann:4294967294:1\n", spans{{4294967294, 1}}, ""},
		{"nearly all", "ann:0:4294967295\n", spans{{0, 4294967295}}, ""},

		{"no count", "bob:1:2\nann:100\n", nil, "/etc/subuid: line 2: not of the form"},
		{"not a number", "ann:1e5:10\n", nil, `line 1: the first id is not a number: "1e5"`},
		{"not a count", "ann:100:\n", nil, `line 1: the count is not a number: ""`},
		{"four fields", "ann:100:10:5\n", nil, "the count is not a number"},
		{"negative", "ann:-1:10\n", nil, "the first id is not a number"},
		{"no ids", "#\n\nann:100:0\n", nil, "line 3: a range of no ids"},
		{"one too far", "ann:4294967294:2\n", nil, "line 1: goes past the last id"},
		{"no id", "ann:4294967295:1\n", nil, "line 1: goes past the last id"},
		{"wraps 64 bits", "ann:18446744073709551615:18446744073709551615\n", nil, "goes past the last id"},
		{"more than 64 bits", "ann:1:99999999999999999999999\n", nil, "the count is not a number"},
		{"overlap", "ann:100:10\nann:109:10\n", nil, "line 2: overlaps the range of 10 ids from 100"},
		{"overlap from below", "ann:100:10\nann:91:10\n", nil, "line 2: overlaps"},
		{"within", "ann:100:10\n1000:102:2\n", nil, "line 2: overlaps"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := idmap.ParseSub(strings.NewReader(c.text), "/etc/subuid", "ann", 1000)
			checkError(t, err, c.err)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if got, err := idmap.ParseSub(strings.NewReader(":1:2\n7:3:4\n"), "f", "", 7); err != nil || !reflect.DeepEqual(got, spans{{3, 4}}) {
		t.Errorf("a user without a name has %v, %v", got, err)
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v, want %q in it", err, want)
	case err != nil && strings.Contains(err.Error(), "\n"):
		t.Errorf("an error of several lines: %q", err)
	}
}

// A file of a large site: the reader must hold one line, not the file.
func TestParseSubHuge(t *testing.T) {
	line := "someone:100000:65536\n"
	var got spans
	allocs := testing.AllocsPerRun(1, func() {
		r := io.MultiReader(io.LimitReader(repeat(line), int64(len(line))*50_000), strings.NewReader("ann:1:2\n"))
		var err error
		if got, err = idmap.ParseSub(r, "f", "ann", 1000); err != nil {
			t.Fatal(err)
		}
	})
	if !reflect.DeepEqual(got, spans{{1, 2}}) {
		t.Errorf("got %v", got)
	}
	if allocs > 100 {
		t.Errorf("%v allocations for lines of others", allocs)
	}
}

type repeat string

func (r repeat) Read(p []byte) (int, error) {
	n := 0
	for n+len(r) <= len(p) {
		n += copy(p[n:], r)
	}
	if n == 0 {
		return 0, io.ErrShortBuffer
	}
	return n, nil
}

func TestParseReadError(t *testing.T) {
	broken := io.MultiReader(strings.NewReader("ann:1:2\n"), iotest.ErrReader(io.ErrClosedPipe))
	_, err := idmap.ParseSub(broken, "/etc/subuid", "ann", 1000)
	if !errors.Is(err, io.ErrClosedPipe) || !strings.Contains(err.Error(), "/etc/subuid") {
		t.Errorf("error %v", err)
	}
	_, err = idmap.ParseSub(strings.NewReader("ann:1:0"), "/etc/subuid", "ann", 1000)
	var f *fault.Error
	if !errors.As(err, &f) || f.Hint == "" {
		t.Errorf("a broken line has no hint: %v", err)
	}
}

func TestParseGetsubids(t *testing.T) {
	for _, c := range []struct {
		text string
		want spans
		err  string
	}{
		{"0: ann 100000 65536\n1: ann 300000 10\n", spans{{100000, 65536}, {300000, 10}}, ""},
		{"", nil, ""},
		{"Error fetching ranges\n", nil, "getsubids: line 1: not of the form"},
		{"0: ann 100000 0\n", nil, "line 1: a range of no ids"},
	} {
		got, err := idmap.ParseGetsubids(strings.NewReader(c.text))
		checkError(t, err, c.err)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.text, got, c.want)
		}
	}
}

func TestParseProcMap(t *testing.T) {
	for _, c := range []struct {
		text string
		want idmap.Ranges
		err  string
	}{
		{"         0          0 4294967295\n", idmap.Ranges{{0, 0, 4294967295}}, ""},
		{"         0       1000          1\n         1     100000      65536\n", idmap.Ranges{{0, 1000, 1}, {1, 100000, 65536}}, ""},
		{"", nil, ""}, // not written yet
		{"0 0\n", nil, "uid_map: line 1: not three numbers"},
		{"0 0 4294967296\n", nil, "line 1: not a number of an id"},
		{"0 0 0\n", nil, "uid_map: id map: a range of no ids"},
		{"0 0 5\n4 10 1\n", nil, "container id 4 is mapped twice"},
	} {
		got, err := idmap.ParseProcMap(strings.NewReader(c.text), "uid_map")
		checkError(t, err, c.err)
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.text, got, c.want)
		}
	}
}
