package carry

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// inside is the root directory of a container.
type inside struct{ *os.Root }

// mostLinks is how many links the kernel follows, too.
const mostLinks = 40

// resolve follows a path as a process of the container would, and gives the one
// that has no links, relative to the root ("." is that), with what is there. A
// missing last element is no error: its info is nil. last tells whether a link at
// the end is followed.
//
// It is done here because os.Root refuses links that begin at the root. The
// container may turn a link afterwards: then os.Root goes where that leads, or
// refuses, but not out. What procfs has for links is only read: as a text it leads
// nowhere but into this root.
func (r inside) resolve(name string, last bool) (string, fs.FileInfo, error) {
	var (
		done  []string
		links int
		todo  = strings.Split(name, "/")
	)
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			done = done[:max(len(done)-1, 0)]
			continue
		}
		here := path.Join(append(done, part)...)
		info, err := r.Lstat(here)
		more := wanted(todo)
		if errors.Is(err, fs.ErrNotExist) && !more {
			return here, nil, nil
		}
		if err != nil {
			return "", nil, failed("", name, err)
		}
		if info.Mode()&fs.ModeSymlink != 0 && (more || last || len(todo) > 0) {
			if links++; links > mostLinks {
				return "", nil, failed("", name, unix.ELOOP)
			}
			to, err := r.Readlink(here)
			if err != nil {
				return "", nil, failed("", name, err)
			}
			if strings.HasPrefix(to, "/") {
				done = nil
			}
			todo = append(strings.Split(to, "/"), todo...)
			continue
		}
		if more && !info.IsDir() {
			return "", nil, failed("", name, unix.ENOTDIR)
		}
		done = append(done, part)
	}
	if len(done) == 0 {
		info, err := r.Lstat(".")
		return ".", info, err
	}
	here := path.Join(done...)
	info, err := r.Lstat(here)
	if err != nil { // after "..", or somebody was faster
		return "", nil, failed("", name, err)
	}
	return here, info, nil
}

// wanted tells whether an element is left that has to be looked up.
func wanted(parts []string) bool {
	for _, p := range parts {
		if p != "" && p != "." {
			return true
		}
	}
	return false
}

// failed says what failed on which name, and leaves out how the name was walked.
func failed(what, name string, err error) error {
	if err == nil {
		return nil
	}
	var mine *nameError
	if errors.As(err, &mine) {
		return err
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return &nameError{what, name, err}
}

type nameError struct {
	what, name string
	err        error
}

func (e *nameError) Error() string {
	text := Quote(e.name) + ": " + e.err.Error()
	if e.what != "" {
		text = e.what + " " + text
	}
	return text
}

func (e *nameError) Unwrap() error { return e.err }
