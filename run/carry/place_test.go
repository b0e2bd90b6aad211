package carry

import (
	"io/fs"
	"strings"
	"testing"
)

// TestDecide is docker's table.
func TestDecide(t *testing.T) {
	file, dir := Source{Name: "s"}, Source{Name: "s", Dir: true}
	contents, stream := Source{Name: "s", Dir: true, Contents: true}, Source{Stream: true}
	none, slash := Destination{Path: "/p/d"}, Destination{Path: "/p/d", Slash: true}
	isFile, isDir := Destination{Path: "/p/d", Exists: true}, Destination{Path: "/p/d", Exists: true, Mode: fs.ModeDir}
	fileSlash := isFile
	fileSlash.Slash = true
	for _, c := range []struct {
		name string
		s    Source
		d    Destination
		want Place
		err  string
	}{
		{"file to nothing", file, none, Place{"/p", "d"}, ""},
		{"file to nothing/", file, slash, Place{}, "does not exist"},
		{"file to file", file, isFile, Place{"/p", "d"}, ""},
		{"file to file/", file, fileSlash, Place{}, "not a directory"},
		{"file to directory", file, isDir, Place{"/p/d", "s"}, ""},
		{"directory to nothing", dir, none, Place{"/p", "d"}, ""},
		{"directory to nothing/", dir, slash, Place{"/p", "d"}, ""},
		{"directory to file", dir, isFile, Place{}, "cannot copy a directory to a file"},
		{"directory to directory", dir, isDir, Place{"/p/d", "s"}, ""},
		{"contents to nothing", contents, none, Place{"/p", "d"}, ""},
		{"contents to directory", contents, isDir, Place{"/p/d", ""}, ""},
		{"contents to file", contents, isFile, Place{}, "cannot copy a directory to a file"},
		{"stream to directory", stream, isDir, Place{"/p/d", ""}, ""},
		{"stream to file", stream, isFile, Place{}, "must be a directory"},
		{"stream to nothing", stream, none, Place{}, "must be a directory"},
	} {
		got, err := Decide(c.s, c.d)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestNamed(t *testing.T) {
	for _, c := range []struct {
		path, name      string
		slash, contents bool
	}{
		{"/a/b", "b", false, false}, {"a", "a", false, false}, {"/a/b/", "b", true, false}, {"/a/b/.", "b", true, true},
		{"/a/..", "", true, false}, {"/a/b/..", "a", true, false}, {"/", "", true, true}, {"//", "", true, true}, {".", "", true, true}, {"", "", true, true},
		{"/a/.b", ".b", false, false}, {"/a/b..", "b..", false, false},
	} {
		name, slash, contents := Named(c.path)
		if name == "/" {
			name = ""
		}
		if name != c.name || slash != c.slash || contents != c.contents {
			t.Errorf("%q: %q, %t, %t", c.path, name, slash, contents)
		}
	}
}

// TestQuote: nothing that is shown moves a cursor or begins a line.
func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/plain ü": "/plain ü", "a\nD /etc": `a\x0aD /etc`, "\x1b[2J": `\x1b[2J`, "\u009b2J": `\x9b2J`, "\x7f\r": `\x7f\x0d`, "\xff": "\xff",
	} {
		if got := Quote(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}
