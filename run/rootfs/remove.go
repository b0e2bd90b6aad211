package rootfs

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// RemoveAll deletes a tree that may hold anything a layer can bring: files of
// subordinate ids, directories without any permission, paths thousands of
// levels deep. Call it inside the user namespace that owns the ids. A path that
// does not exist is no error.
//
// It goes by directory descriptors and holds few of them at any depth; follows
// no symlink; never enters a mount point (what a user mounted is not ours to
// delete); goes on after an error, so that as little as possible is left; and
// gives back the first few errors.
func RemoveAll(path string) error {
	return (&remover{in: beneath{stay: true}}).removeAll(path)
}

// held open at most; deeper parents are found again through "..".
const openLevels = 64

type remover struct {
	in    beneath
	buf   []byte
	stack []level
	errs  []error
}

// level is a directory being emptied.
type level struct {
	dir      fd // -1 when closed to save descriptors
	name     string
	dev, ino uint64
	todo     []string // directories in it that are still to be emptied
	failed   bool     // something in it could not be deleted
}

func (r *remover) removeAll(path string) (err error) {
	path = filepath.Clean(path)
	parent, err := openPath(filepath.Dir(path))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	defer closing(parent, &err)
	name := filepath.Base(path)

	if err := unlinkat(parent, name, 0); err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	} else if !mayBeDir(err) {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	r.buf = make([]byte, 64<<10)
	r.enter(parent, name)
	for len(r.stack) > 0 {
		r.step(parent)
	}
	if len(r.errs) > 0 {
		return fmt.Errorf("cannot remove %s: %w", path, errors.Join(r.errs...))
	}
	return nil
}

// mayBeDir: unlink of a directory says EISDIR on Linux, EPERM in POSIX.
func mayBeDir(err error) bool {
	return errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)
}

func (r *remover) step(outer fd) {
	top := &r.stack[len(r.stack)-1]
	if n := len(top.todo); n > 0 {
		name := top.todo[n-1]
		top.todo = top.todo[:n-1]
		r.enter(top.dir, name)
		return
	}
	// Empty: leave it, and delete it in its parent.
	done := *top
	parent := outer
	if len(r.stack) > 1 {
		up := &r.stack[len(r.stack)-2]
		if up.dir < 0 {
			if err := r.reopen(up, done.dir); err != nil {
				r.fail(err)
				_ = done.dir.Close()
				r.abandon()
				return
			}
		}
		parent = up.dir
		up.failed = up.failed || done.failed
	}
	if err := done.dir.Close(); err != nil {
		r.fail(err)
	}
	r.stack = r.stack[:len(r.stack)-1]
	if done.failed {
		return // it cannot be empty, and the reason is known
	}
	if err := r.unlink(parent, done.name, unix.AT_REMOVEDIR); err != nil {
		r.fail(err)
		r.spoil()
	}
}

// enter opens a directory, deletes what is no directory, notes what is.
func (r *remover) enter(parent fd, name string) {
	dir, err := r.in.child(parent, name)
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		// Mode 000, and no capability over it. If it is ours, it can be opened up.
		if chmodDir(parent, name, 0o700) == nil {
			dir, err = r.in.child(parent, name)
		}
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		err = r.unlink(parent, name, 0) // no directory after all
		if err == nil {
			return
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return
	}
	if errors.Is(err, unix.EXDEV) {
		err = fmt.Errorf("%s is a mount point: %w", clip(name), unix.EBUSY)
	}
	if err != nil {
		r.fail(err)
		r.spoil()
		return
	}
	st, err := fstat(dir)
	if err != nil {
		r.fail(errors.Join(err, dir.Close()))
		r.spoil()
		return
	}
	if n := len(r.stack); n >= openLevels {
		if far := &r.stack[n-openLevels]; far.dir >= 0 {
			_ = far.dir.Close()
			far.dir = -1
		}
	}
	r.stack = append(r.stack, level{dir: dir, name: name, dev: st.Dev, ino: st.Ino})
	r.empty(&r.stack[len(r.stack)-1], st.Mode)
}

// empty reads until nothing new comes: entries may be skipped when others are
// deleted while reading, so what was read is deleted after.
func (r *remover) empty(l *level, mode uint32) {
	entries, err := readDir(l.dir, r.buf)
	if err != nil {
		r.fail(err)
		l.failed = true
	}
	opened := false
	for _, e := range entries {
		if e.kind == unix.DT_DIR {
			l.todo = append(l.todo, e.name)
			continue
		}
		err := r.unlink(l.dir, e.name, 0)
		if errors.Is(err, unix.EACCES) && !opened && mode&0o300 != 0o300 {
			opened = true // a directory without w or x, and no capability over it
			if fchmod(l.dir, 0o700) == nil {
				err = r.unlink(l.dir, e.name, 0)
			}
		}
		switch {
		case err == nil:
		case e.kind == unix.DT_UNKNOWN && mayBeDir(err):
			l.todo = append(l.todo, e.name)
		default:
			r.fail(err)
			l.failed = true
		}
	}
	if !opened && len(l.todo) > 0 && mode&0o300 != 0o300 {
		_ = fchmod(l.dir, 0o700) // if it mattered, rmdir will say so
	}
}

// unlink deletes a name; gone already is deleted.
func (r *remover) unlink(dir fd, name string, flags int) error {
	err := unlinkat(dir, name, flags)
	if errors.Is(err, unix.EPERM) && r.mutable(dir, name) {
		err = unlinkat(dir, name, flags)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("something is mounted there, or it is in use: %w", err)
	}
	return err
}

// mutable takes the immutable and append-only attributes off a file and its
// directory, as far as that is allowed (it takes CAP_LINUX_IMMUTABLE over the
// host, so mostly it is not), and tells whether it is worth another try.
func (r *remover) mutable(dir fd, name string) bool {
	cleared := clearFlags(dir)
	if f, err := openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0); err == nil {
		cleared = clearFlags(f) || cleared
		_ = f.Close()
	}
	return cleared
}

func clearFlags(f fd) bool {
	flags, err := unix.IoctlGetInt(int(f), unix.FS_IOC_GETFLAGS)
	const stuck = 0x10 | 0x20 // FS_IMMUTABLE_FL, FS_APPEND_FL of linux/fs.h
	if err != nil || flags&stuck == 0 {
		return false
	}
	return unix.IoctlSetPointerInt(int(f), unix.FS_IOC_SETFLAGS, flags&^stuck) == nil
}

// reopen finds a level again whose descriptor was closed.
func (r *remover) reopen(l *level, child fd) error {
	dir, err := openat(child, "..", dirFlags, 0)
	if err != nil {
		return err
	}
	st, err := fstat(dir)
	if err == nil && (st.Dev != l.dev || st.Ino != l.ino) {
		err = fmt.Errorf("the directory %s was moved while it was deleted", clip(l.name))
	}
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	l.dir = dir
	return nil
}

// abandon gives up everything: the way back is lost.
func (r *remover) abandon() {
	for _, l := range r.stack[:len(r.stack)-1] {
		if l.dir >= 0 {
			_ = l.dir.Close()
		}
	}
	r.stack = nil
}

// spoil notes that the directory on top cannot become empty.
func (r *remover) spoil() {
	if len(r.stack) > 0 {
		r.stack[len(r.stack)-1].failed = true
	}
}

func (r *remover) fail(err error) {
	const most = 5
	if len(r.errs) < most {
		r.errs = append(r.errs, err)
	}
}
