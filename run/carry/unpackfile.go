package carry

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// file makes a new file, with what comes.
func (u *Unpacker) file(dir *level, name string, h *tar.Header, r io.Reader) error {
	f, created, err := create(dir, name)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(onlyWriter{f}, onlyReader{r}, u.buf)
	if err == nil && created {
		err = u.describe(f, h, func(ts []unix.Timespec) error {
			return dir.at2(func(fd int) error { return unix.UtimesNanoAt(fd, name, ts, unix.AT_SYMLINK_NOFOLLOW) })
		})
	}
	if err = errors.Join(err, f.Close()); err != nil && created {
		dir.Remove(name) // half of a file is none
	}
	return err
}

// create makes a file in the place of what has its name. A file that something is
// mounted on (/etc/hosts) can only be written to.
func create(dir *level, name string) (f *os.File, created bool, err error) {
	for range 100 { // somebody may make it again and again
		f, err = dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return f, true, err
		}
		err = makeRoom(dir, name)
		if errors.Is(err, unix.EBUSY) {
			f, err = dir.OpenFile(name, os.O_WRONLY|os.O_TRUNC|unix.O_NONBLOCK, 0)
			return f, false, err
		}
		if err != nil {
			return nil, false, err
		}
	}
	return nil, false, fmt.Errorf("%s appears again as often as it is removed", Quote(name))
}

// makeRoom removes what has a name, but no directory and no device.
func makeRoom(dir *level, name string) error {
	info, err := dir.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("cannot overwrite directory %s with non-directory", Quote(name))
	case info.Mode()&fs.ModeDevice != 0:
		return fmt.Errorf("cannot overwrite the device %s", Quote(name))
	}
	if err = dir.Remove(name); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// link makes a further name of a file. On the host that must be one which came
// in this stream: a name of what was there before would be given away.
func (u *Unpacker) link(dir *level, name string, h *tar.Header) error {
	parts, err := u.place(h.Linkname)
	if err != nil {
		return err
	}
	old := strings.Join(parts, "/")
	if old == "" || u.Root == nil && !u.linked[old] {
		return fmt.Errorf("the tar stream has a hard link to what did not come in it: %s", Quote(h.Linkname))
	}
	if err := makeRoom(dir, name); err != nil {
		return err
	}
	if u.Root == nil {
		return u.linkHere(dir, name, parts)
	}
	root := inside{u.Root}
	from, _, err := root.resolve(path.Join(u.At, path.Dir(old)), true)
	if err != nil {
		return err
	}
	return u.Root.Link(path.Join(from, path.Base(old)), path.Join(dir.at, name))
}

// linkHere makes it on the host, by directories that are open, one name at a time. A path
// from Top would lead through links that a container which shares a directory below Top has
// made since.
func (u *Unpacker) linkHere(dir *level, name string, old []string) error {
	from := &level{Root: u.Top}
	last := len(old) - 1
	for _, part := range old[:last] {
		next, err := from.OpenRoot(part)
		if from.Root != u.Top {
			from.Close()
		}
		if err != nil {
			return err
		}
		from = &level{Root: next}
	}
	if from.Root != u.Top {
		defer from.Close()
	}
	return from.at2(func(there int) error {
		return dir.at2(func(here int) error { return unix.Linkat(there, old[last], here, name, 0) })
	})
}

// at2 calls something with the directory as a descriptor, for what os.Root lacks.
func (l *level) at2(call func(fd int) error) error {
	f, err := l.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		if err := call(int(f.Fd())); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// describe gives an open file its owner, mode and time, in the order in which one does not undo
// the other.
func (u *Unpacker) describe(f *os.File, h *tar.Header, times func([]unix.Timespec) error) error {
	kept, err := u.own(h, f.Chown)
	if err != nil {
		return err
	}
	mode := uint32(h.Mode & 0o7777)
	if u.Root == nil && !kept {
		mode &= 0o777
	}
	if err := again(func() error { return unix.Fchmod(int(f.Fd()), mode) }); err != nil {
		return err
	}
	if c := h.PAXRecords[paxCapability]; c != "" && u.Root != nil {
		if err := unix.Fsetxattr(int(f.Fd()), "security.capability", []byte(c), 0); err != nil {
			u.Note("the capabilities of " + Quote(h.Name) + " are not kept: " + err.Error())
		}
	}
	if h.ModTime.IsZero() {
		return nil
	}
	return again(func() error { return times(timespecs(h)) })
}

// attributes does the same for a link or a pipe, by its name.
func (u *Unpacker) attributes(dir *level, name string, h *tar.Header) error {
	if _, err := u.own(h, func(uid, gid int) error { return dir.Lchown(name, uid, gid) }); err != nil {
		return err
	}
	return dir.at2(func(fd int) error { return unix.UtimesNanoAt(fd, name, timespecs(h), unix.AT_SYMLINK_NOFOLLOW) })
}

// own decides whose a new file is: in the container root's, unless owners are
// kept; on the host the caller's, unless the caller is root and wants them.
func (u *Unpacker) own(h *tar.Header, chown func(uid, gid int) error) (kept bool, err error) {
	uid, gid := h.Uid, h.Gid
	switch {
	case uid < 0 || !u.Owners:
		if u.Root == nil || os.Geteuid() == 0 {
			return false, nil
		}
		uid, gid = 0, 0
	case u.Root == nil && os.Geteuid() != 0:
		u.ownerless("owners are not kept: only root may give files away")
		return false, nil
	}
	err = chown(uid, gid)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EINVAL), u.Single:
		u.ownerless(fmt.Sprintf("owners are not all kept: %d:%d has no place in the container's user namespace", uid, gid))
		return false, nil
	}
	return false, err
}

func (u *Unpacker) ownerless(text string) {
	if !u.noOwner && !u.Single {
		u.Note(text)
	}
	u.noOwner = true
}

func timespecs(h *tar.Header) []unix.Timespec {
	t := unix.NsecToTimespec(h.ModTime.UnixNano())
	return []unix.Timespec{t, t}
}

func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
