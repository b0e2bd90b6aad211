package fuse

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// Options of a mount. The zero value is right for a tree that only this server
// changes.
type Options struct {
	Source   string // the first field in /proc/mounts; "" is "rl"
	ReadOnly bool
	// Flags are asked of the kernel beside those that every server here wants.
	Flags uint64
}

// ErrNoDevice marks that this machine has no /dev/fuse for this user.
var ErrNoDevice = errors.New("no FUSE")

// Mount mounts a new connection on target, an existing directory, with mount(2):
// no fusermount. It needs CAP_SYS_ADMIN in the user namespace that the mount
// namespace belongs to. When it returns the tree is there, and h answers until it
// is unmounted, which takes the connection away. A handler with a method
// Serving(*Conn) is told the connection before its first request.
func Mount(target string, o Options, h Handler) (*Conn, error) {
	dev, err := openDevice()
	if err != nil {
		return nil, err
	}
	if o.Source == "" {
		o.Source = "rl"
	}
	var flags uintptr
	if o.ReadOnly {
		flags = unix.MS_RDONLY
	}
	// default_permissions has the kernel check modes and ACLs; allow_other lets every
	// user of the namespace in.
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,default_permissions,allow_other,max_read=%d",
		dev, os.Getuid(), os.Getgid(), maxData)
	if err := sys.Mount(o.Source, target, "fuse.rl", flags, data); err != nil {
		_ = unix.Close(dev)
		return nil, fmt.Errorf("mount a FUSE filesystem: %w", err)
	}
	c := &Conn{dev: dev, want: o.Flags, done: make(chan struct{}), turn: make(chan struct{}), gone: make(chan struct{}), wake: make(chan struct{}, 1)}
	if k, ok := h.(interface{ Serving(*Conn) }); ok {
		k.Serving(c)
	}
	err = c.start(h)
	if err == nil {
		// The kernel takes the owner of the root for 0 until it asks.
		var st unix.Stat_t
		err = again(func() error { return unix.Stat(target, &st) })
	}
	if err == nil {
		return c, nil
	}
	uerr := sys.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
	if c.unfit != nil {
		err = c.unfit
	}
	return nil, errors.Join(fmt.Errorf("start a FUSE filesystem: %w", err), uerr)
}

func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func openDevice() (int, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return -1, fault.New("an administrator can load it: modprobe fuse", "there is no /dev/fuse: %w: %w", ErrNoDevice, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return -1, fault.New("an administrator can open it: chmod 666 /dev/fuse", "/dev/fuse is closed to this user: %w: %w", ErrNoDevice, err)
	}
	return -1, fmt.Errorf("open /dev/fuse: %w", err)
}
