package fstest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// C is what a case works with: the mounted root, and short ways to say what is
// expected. Its first unmet "must" ends the case; other complaints add up.
type C struct {
	Root string

	id        identity
	remounter func()
	calls     chan func() // done by root for the case
	errs      []string
	skipped   string
	fds       []int
}

func (c *C) errorf(format string, args ...any) {
	where := ""
	for skip := 1; skip < 8; skip++ {
		if _, file, line, ok := runtime.Caller(skip); ok && strings.HasPrefix(filepath.Base(file), "cases_") {
			where = fmt.Sprintf("%s:%d: ", filepath.Base(file), line)
			break
		}
	}
	c.errs = append(c.errs, where+fmt.Sprintf(format, args...))
}

func (c *C) fatalf(format string, args ...any) {
	c.errorf(format, args...)
	runtime.Goexit()
}

// p is the path of a name in the root.
func (c *C) p(name string) string {
	if name == "" {
		return c.Root
	}
	return c.Root + "/" + name
}

// ok: the call must have worked.
func (c *C) ok(err error) {
	if err != nil {
		c.fatalf("%v", err)
	}
}

// fails: the call must have failed with one of these.
func (c *C) fails(err error, with ...unix.Errno) {
	for _, w := range with {
		if errors.Is(err, w) {
			return
		}
	}
	names := make([]string, len(with))
	for i, w := range with {
		names[i] = unix.ErrnoName(w)
	}
	c.errorf("got error %v, want %s", err, strings.Join(names, " or "))
}

// eq compares.
func (c *C) eq(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		c.errorf("%s: got %v, want %v", what, got, want)
	}
}

// yes: it must hold.
func (c *C) yes(what string, holds bool) {
	if !holds {
		c.errorf("%s: does not hold", what)
	}
}

// absent: no such name.
func (c *C) absent(names ...string) {
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Lstat(c.p(name), &st); !errors.Is(err, unix.ENOENT) {
			c.errorf("%s: got error %v (mode %o), want ENOENT", clip(name), err, st.Mode)
		}
	}
}

// names: readdir gives exactly these, in any order.
func (c *C) names(dir string, want ...string) {
	got := c.list(dir)
	slices.Sort(want)
	if want == nil {
		want = []string{}
	}
	c.eq("names in /"+clip(dir), got, want)
}

func (c *C) list(dir string) []string {
	entries, err := os.ReadDir(c.p(dir))
	c.ok(err)
	got := make([]string, 0, len(entries))
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(got)
	return got
}

// content: the file reads so.
func (c *C) content(name, want string) {
	got, err := os.ReadFile(c.p(name))
	c.ok(err)
	if string(got) != want {
		c.errorf("%s reads %q, want %q", clip(name), clip(string(got)), clip(want))
	}
}

// write makes or truncates a file, mode 0644.
func (c *C) write(name, data string) { c.ok(os.WriteFile(c.p(name), []byte(data), 0o644)) }

// append adds to a file that exists.
func (c *C) append(name, data string) {
	fd := c.open(name, unix.O_WRONLY|unix.O_APPEND, 0)
	_, err := unix.Write(fd, []byte(data))
	c.ok(err)
	c.close(fd)
}

func (c *C) mkdir(name string) { c.ok(unix.Mkdir(c.p(name), 0o755)) }

func (c *C) stat(name string) (st unix.Stat_t) {
	c.ok(unix.Lstat(c.p(name), &st))
	return st
}

func (c *C) fstat(fd int) (st unix.Stat_t) {
	c.ok(unix.Fstat(fd, &st))
	return st
}

// mode: the permission bits are these.
func (c *C) mode(name string, want uint32) {
	if got := c.stat(name).Mode & 0o7777; got != want {
		c.errorf("%s has mode %o, want %o", clip(name), got, want)
	}
}

// owner: the file belongs to them.
func (c *C) owner(name string, uid, gid int) {
	st := c.stat(name)
	c.eq("owner of "+name, [2]int{int(st.Uid), int(st.Gid)}, [2]int{uid, gid})
}

// open opens; the descriptor is closed at the end of the case at the latest.
func (c *C) open(name string, flags int, mode uint32) int {
	fd, err := c.try(name, flags, mode)
	c.ok(err)
	return fd
}

func (c *C) try(name string, flags int, mode uint32) (int, error) {
	fd, err := unix.Open(c.p(name), flags|unix.O_CLOEXEC, mode)
	if err != nil {
		return -1, fmt.Errorf("open %s: %w", clip(name), err)
	}
	c.fds = append(c.fds, fd)
	return fd, nil
}

func (c *C) close(fd int) {
	c.fds = slices.DeleteFunc(c.fds, func(n int) bool { return n == fd })
	c.ok(unix.Close(fd))
}

func (c *C) closeAll() {
	for _, fd := range c.fds {
		_ = unix.Close(fd)
	}
	c.fds = nil
}

// pread reads n bytes at an offset.
func (c *C) pread(fd, n int, offset int64) string {
	buf := make([]byte, n)
	got, err := unix.Pread(fd, buf, offset)
	c.ok(err)
	return string(buf[:got])
}

func (c *C) pwrite(fd int, data string, offset int64) {
	n, err := unix.Pwrite(fd, []byte(data), offset)
	c.ok(err)
	c.eq("bytes written", n, len(data))
}

// remount unmounts and mounts again.
func (c *C) remount() {
	done := make(chan struct{})
	c.calls <- func() { defer close(done); c.remounter() }
	<-done
}

func (c *C) rename(from, to string) error { return unix.Rename(c.p(from), c.p(to)) }

func (c *C) rename2(from, to string, flags uint) error {
	return unix.Renameat2(unix.AT_FDCWD, c.p(from), unix.AT_FDCWD, c.p(to), flags)
}

func (c *C) xattr(name, attr, want string) {
	got, err := getXattr(c.p(name), attr)
	c.ok(err)
	c.eq("xattr "+attr+" of "+name, got, want)
}

func (c *C) setxattr(name, attr, value string) error {
	return unix.Lsetxattr(c.p(name), attr, []byte(value), 0)
}
