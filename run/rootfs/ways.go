package rootfs

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"rl/userns/sys"
)

// mountDirect is one system call.
func mountDirect(t Tree, options string) error {
	return sys.Mount("overlay", t.Target, "overlay", t.flags(), options)
}

// longest is what one value of fsconfig(2) holds (strndup_user(…, 256) in
// fs/fsopen.c).
const longest = 255

// mountFsconfig gives one layer a call: 9 system calls, and one more a layer.
func mountFsconfig(t Tree) (err error) {
	c, err := sys.Fsopen("overlay")
	if err != nil {
		return err
	}
	defer closing(c, &err)
	var fds held
	defer fds.close()

	// A name that is too long, or has what some kernels unescape, is replaced by
	// that of a descriptor.
	name := func(path string) (string, error) {
		if len(path) <= longest && plain(path) {
			return path, nil
		}
		fd, err := fds.open(path)
		return "/proc/thread-self/fd/" + strconv.Itoa(fd), err
	}
	set := func(key, path string) error {
		n, err := name(path)
		if err == nil {
			err = c.Set(key, n)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", key, path, err)
		}
		return nil
	}

	if err := c.Flag("userxattr"); err != nil {
		return err
	}
	for _, l := range t.Lowers {
		if err := set("lowerdir+", l); err != nil {
			return err
		}
	}
	if t.Upper != "" {
		if t.Volatile {
			if err := c.Flag("volatile"); err != nil {
				return err
			}
		}
		if err := set("upperdir", t.Upper); err != nil {
			return err
		}
		if err := set("workdir", t.Work); err != nil {
			return err
		}
	}
	attr := 0
	if t.ReadOnly {
		attr = unix.MOUNT_ATTR_RDONLY
		if err := c.Flag("ro"); err != nil {
			return err
		}
	}
	if err := c.Create(); err != nil {
		return err
	}
	mnt, err := c.Fsmount(attr)
	if err != nil {
		return err
	}
	defer closing(fd(mnt), &err)
	return sys.MoveMount(mnt, t.Target)
}

// mountFds names every directory by the number of a descriptor, from a thread
// that stands in /proc/thread-self/fd. The thread has its own working directory
// and is given up afterwards, so no other thread ever sees it.
func mountFds(t Tree) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- mountFdsHere(t)
	}()
	return <-done
}

func mountFdsHere(t Tree) error {
	var fds held
	defer fds.close()
	short := func(path string) (string, error) {
		fd, err := fds.open(path)
		return strconv.Itoa(fd), err
	}
	lowers := make([]string, len(t.Lowers))
	for i, l := range t.Lowers {
		var err error
		if lowers[i], err = short(l); err != nil {
			return err
		}
	}
	var upper, work string
	if t.Upper != "" {
		var err1, err2 error
		upper, err1 = short(t.Upper)
		work, err2 = short(t.Work)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
	}
	if err := unshareFS(); err != nil {
		return fmt.Errorf("cannot give a thread its own working directory: %w", err)
	}
	if err := chdir("/proc/thread-self/fd"); err != nil {
		return fmt.Errorf("cannot enter /proc/thread-self/fd: %w", err)
	}
	return sys.Mount("overlay", t.Target, "overlay", t.flags(), overlayOptions(lowers, upper, work, t.Volatile))
}

// held are directories kept open until a mount has taken them.
type held []fd

func (h *held) open(path string) (int, error) {
	f, err := openPath(path)
	if err != nil {
		return -1, err
	}
	*h = append(*h, f)
	return int(f), nil
}

func (h *held) close() {
	for _, f := range *h {
		_ = f.Close() // O_PATH: nothing to lose
	}
}

// closing closes and keeps the first error.
func closing(c interface{ Close() error }, err *error) {
	if cerr := c.Close(); *err == nil {
		*err = cerr
	}
}
