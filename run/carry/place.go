package carry

import (
	"io/fs"
	"path"
	"strings"

	"rl/userns/sys/fault"
)

// Place is where a source goes: into a directory that there is, under a name; ""
// stands for what is in the source, without itself.
type Place struct {
	Dir  string
	Name string
}

// Destination is what is known of the path that was asked for, its links followed.
type Destination struct {
	Path   string      // clean; where a link at its end leads
	Mode   fs.FileMode // of what is there
	Exists bool
	Slash  bool // it was written as a directory
}

// Decide is docker's table of what `cp` does with which destination:
//
//	source       destination        result
//	file         missing            is called so
//	file         missing, DIR/      refused
//	file         file               replaces it
//	any          directory          is put in it
//	directory    missing            is called so
//	directory    file               refused
//	directory/.  directory          what is in it is put there
//	tar stream   directory          the same
//	tar stream   anything else      refused
func Decide(s Source, d Destination) (Place, error) {
	dir := d.Exists && d.Mode.IsDir()
	switch {
	case s.Stream && !dir:
		return Place{}, fault.New("", "destination %s must be a directory", Quote(d.Path))
	case s.Stream, dir && s.Dir && s.Contents:
		return Place{Dir: d.Path}, nil
	case dir:
		return Place{d.Path, s.Name}, nil
	case s.Dir && d.Exists:
		return Place{}, fault.New("", "cannot copy a directory to a file: %s", Quote(d.Path))
	case d.Slash && d.Exists:
		return Place{}, fault.New("", "%s is not a directory", Quote(d.Path))
	case d.Slash && !s.Dir:
		return Place{}, fault.New("make it first", "the destination directory %s does not exist", Quote(d.Path))
	}
	return Place{path.Dir(d.Path), path.Base(d.Path)}, nil
}

// Named reads of a path how it is meant: whether it ends like a directory's (a/,
// a/., a/..), whether it means what is in that (a/.), and its last element.
func Named(p string) (name string, slash, contents bool) {
	switch last := path.Base("/" + p); {
	case p == "" || strings.Trim(p, "/") == "": // the root directory has no name
		return "", true, true
	case last == "." || strings.HasSuffix(p, "/."):
		return path.Base(path.Clean("/" + p)), true, true
	default:
		slash = strings.HasSuffix(p, "/") || last == ".."
		return path.Base(path.Clean("/" + p)), slash, false
	}
}

// Quote makes a name fit to be shown: what would move a terminal's cursor, or
// begin a line of its own, is escaped.
func Quote(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c < ' ' || c == 0x7f:
			b.WriteString(`\x`)
			b.WriteByte("0123456789abcdef"[c>>4])
			b.WriteByte("0123456789abcdef"[c&15])
		case c == 0xc2 && i+1 < len(name) && name[i+1] >= 0x80 && name[i+1] < 0xa0: // C1
			i++
			b.WriteString(`\x`)
			b.WriteByte("0123456789abcdef"[name[i]>>4])
			b.WriteByte("0123456789abcdef"[name[i]&15])
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
