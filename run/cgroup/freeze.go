package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Freeze stops every process of the container, and waits until all have stopped.
func (g Group) Freeze() error { return g.freezer("1") }

// Thaw lets them go on.
func (g Group) Thaw() error { return g.freezer("0") }

// patience is how long the kernel may take to stop or end processes. One that is in
// the middle of a system call that cannot be interrupted (a dead NFS server) takes for ever.
const patience = 10 * time.Second

func (g Group) freezer(want string) error {
	if err := write(g.Dir, "cgroup.freeze", want); err != nil {
		return fmt.Errorf("write to the freezer of the container's cgroup: %w", errno(err))
	}
	if g.until(func() bool { return field(read(g.Dir, "cgroup.events"), "frozen") == want }) {
		return nil
	}
	if want == "1" {
		write(g.Dir, "cgroup.freeze", "0")
	}
	return errors.New("a process of the container does not react: it waits for a device or a file server")
}

// until waits for a state of cgroup.events, which the kernel tells of by POLLPRI.
func (g Group) until(ok func() bool) bool {
	f, err := os.Open(filepath.Join(g.Dir, "cgroup.events"))
	if err != nil {
		return ok()
	}
	defer f.Close()
	end := time.Now().Add(patience)
	for {
		var b [64]byte
		_, err := f.ReadAt(b[:], 0)              // what is read is what changes are told from
		if ok() || errors.Is(err, unix.ENODEV) { // it was removed: the container has ended
			return true
		}
		left := time.Until(end)
		if left <= 0 {
			return false
		}
		unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}, int(left.Milliseconds())+1)
	}
}

// Kill ends every process in the cgroup and below.
func (g Group) Kill() error {
	err := write(g.Dir, "cgroup.kill", "1")
	if errors.Is(err, fs.ErrNotExist) { // before Linux 5.14; the pid namespace has ended them
		return nil
	}
	return err
}

// Remove ends what is left, and removes the cgroup with those that the container made
// in it.
func (g Group) Remove() error {
	if g.Dir == "" {
		return nil
	}
	err := unix.Rmdir(g.Dir)
	if err == nil || err == unix.ENOENT {
		return nil
	}
	for range 4 { // a program of rl exec may be born here at the last moment
		if g.populated() {
			if err := g.Kill(); err != nil {
				return fmt.Errorf("end what is left of the container: %w", err)
			}
			g.until(func() bool { return !g.populated() })
		}
		if err := prune(g.Dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("remove the container's cgroup: %w", err)
		}
	}
	return errors.New("remove the container's cgroup: there are processes in it again and again")
}

// prune removes a cgroup and those below it, which are directories; its files go with it.
func prune(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := prune(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return os.Remove(dir)
}
