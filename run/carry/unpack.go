package carry

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Unpacker writes what is in a tar stream below a directory. It believes nothing
// of it: names that lead out are refused, what is there is never written through, a new
// file takes its place.
type Unpacker struct {
	Top    *os.Root // where it goes
	Name   string   // what Entry is called there; "" leaves it away
	Stream bool     // it is somebody's tar stream: names are as they are
	Note   func(text string)

	// Root is the container's root directory, and At is where Top is in it: links on the way
	// are followed in there. Without one, on the host, no link is followed, and neither
	// special files nor set-id bits are made: they would be the caller's own.
	Root *os.Root
	At   string

	Owners bool // keep them
	Single bool // and say nothing when that cannot be

	stack   []*level
	linked  map[string]bool // files that a hard link may be made to
	noOwner bool            // was said
	buf     []byte
}

// level is a directory that is open, while what is in it comes.
type level struct {
	*os.Root
	name  string      // in the level above
	at    string      // in the container's root
	after *tar.Header // what it is to be when it is left
}

// Unpack reads the stream to its end.
func (u *Unpacker) Unpack(r io.Reader) (err error) {
	u.buf = make([]byte, 256<<10)
	u.linked = map[string]bool{}
	u.stack = []*level{{Root: u.Top, at: u.At}}
	defer func() { err = errors.Join(err, u.leave(1)) }()
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the tar stream: %w", err)
		}
		if err := u.entry(h, t); err != nil {
			return err
		}
	}
}

// place reads a name of the stream.
func (u *Unpacker) place(name string) ([]string, error) {
	parts := strings.Split(name, "/")
	if slices.Contains(parts, "..") || strings.Contains(name, "\x00") {
		return nil, fmt.Errorf("the tar stream has a name that leads out of its directory: %s", Quote(name))
	}
	parts = slices.DeleteFunc(parts, func(p string) bool { return p == "" || p == "." })
	if u.Stream {
		return parts, nil
	}
	if len(parts) == 0 || parts[0] != Entry {
		return nil, fmt.Errorf("the tar stream has a name that nobody asked for: %s", Quote(name))
	}
	if u.Name == "" {
		return parts[1:], nil
	}
	parts[0] = u.Name
	return parts, nil
}

func (u *Unpacker) entry(h *tar.Header, r io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	parts, err := u.place(h.Name)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		if h.Typeflag != tar.TypeDir {
			return errors.New("the tar stream has a file in the place of the directory itself")
		}
		return nil
	}
	if h.Typeflag == tar.TypeDir {
		return failed("", path.Join(parts...), u.directory(parts, h))
	}
	dir, err := u.enter(parts[:len(parts)-1])
	if err != nil {
		return failed("", path.Join(parts...), err)
	}
	return failed("", path.Join(parts...), u.leaf(dir, parts, h, r))
}

func (u *Unpacker) leaf(dir *level, parts []string, h *tar.Header, r io.Reader) error {
	name := parts[len(parts)-1]
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		if h.PAXRecords[paxLinked] != "" {
			u.linked[strings.Join(parts, "/")] = true
		}
		return u.file(dir, name, h, r)
	case tar.TypeLink:
		return u.link(dir, name, h)
	case tar.TypeSymlink:
		if err := makeRoom(dir, name); err != nil {
			return err
		}
		if err := dir.Symlink(h.Linkname, name); err != nil {
			return err
		}
		return u.attributes(dir, name, h)
	case tar.TypeFifo:
		if u.Root == nil {
			break
		}
		if err := makeRoom(dir, name); err != nil {
			return err
		}
		if err := dir.at2(func(fd int) error { return unix.Mkfifoat(fd, name, uint32(h.Mode&0o777)) }); err != nil {
			return err
		}
		return u.attributes(dir, name, h)
	}
	u.Note("not copied, as it is " + kind(h.Typeflag) + ": " + Quote(path.Join(parts...)))
	return nil
}

func kind(flag byte) string {
	switch flag {
	case tar.TypeChar, tar.TypeBlock:
		return "a device"
	case tar.TypeFifo:
		return "a pipe"
	}
	return fmt.Sprintf("of the unknown type %q", flag)
}

// enter goes to a directory, making what is missing; the way back is left.
func (u *Unpacker) enter(parts []string) (*level, error) {
	same := 0
	for same < len(parts) && same+1 < len(u.stack) && u.stack[same+1].name == parts[same] {
		same++
	}
	if err := u.leave(same + 1); err != nil {
		return nil, err
	}
	for _, name := range parts[same:] {
		next, made, err := u.step(u.stack[len(u.stack)-1], name)
		if err != nil {
			return nil, err
		}
		u.stack = append(u.stack, next)
		if made {
			next.after = &tar.Header{Mode: 0o755, Uid: -1}
		}
	}
	return u.stack[len(u.stack)-1], nil
}

// step opens a directory in another, and makes it where there is none.
func (u *Unpacker) step(dir *level, name string) (next *level, made bool, err error) {
	info, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err = dir.Mkdir(name, 0o700); err == nil {
			made = true
			info, err = dir.Lstat(name)
		}
	}
	if err != nil {
		return nil, false, err
	}
	next = &level{name: name, at: path.Join(dir.at, name)}
	switch {
	case info.IsDir():
		next.Root, err = dir.OpenRoot(name)
	case info.Mode()&fs.ModeSymlink != 0 && u.Root == nil:
		return nil, false, fmt.Errorf("%s is a symbolic link here, which is not followed", Quote(name))
	case info.Mode()&fs.ModeSymlink != 0:
		root := inside{u.Root}
		if next.at, info, err = root.resolve(next.at, true); err == nil && (info == nil || !info.IsDir()) {
			err = fmt.Errorf("cannot overwrite a link that leads to no directory by a directory: %s", Quote(name))
		}
		if err == nil {
			next.Root, err = root.OpenRoot(next.at)
		}
	default:
		err = fmt.Errorf("cannot overwrite non-directory %s with directory", Quote(name))
	}
	return next, made, err
}

// leave closes directories until so many are left, and makes them what they are
// to be: before that the caller might not have been allowed to write to them.
func (u *Unpacker) leave(keep int) error {
	var errs []error
	for len(u.stack) > keep {
		l := u.stack[len(u.stack)-1]
		u.stack = u.stack[:len(u.stack)-1]
		if l.after != nil {
			errs = append(errs, u.finish(l))
		}
		l.Close()
	}
	return errors.Join(errs...)
}

// finish gives a directory its attributes.
func (u *Unpacker) finish(l *level) error {
	f, err := l.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return u.describe(f, l.after, func(ts []unix.Timespec) error { return unix.UtimesNanoAt(int(f.Fd()), ".", ts, 0) })
}

// directory makes one; one that was there keeps its own attributes, unless a tar
// stream says otherwise.
func (u *Unpacker) directory(parts []string, h *tar.Header) error {
	last := len(parts) - 1
	dir, err := u.enter(parts[:last])
	if err != nil {
		return err
	}
	next, made, err := u.step(dir, parts[last])
	if err != nil {
		return err
	}
	if made || u.Stream {
		next.after = h
	}
	u.stack = append(u.stack, next)
	return nil
}
