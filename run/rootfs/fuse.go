package rootfs

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"rl/fuse"
	"rl/fuse/overlay"
)

// Fuse is the overlay that rl carries with it, for kernels and filesystems that
// overlayfs refuses: fuse/overlay, served by this process, on the format that the
// kernel's has on disk. A container may go from one to the other.
//
// The process that mounts it must live as long as the mount, and must not touch
// what it serves by mapping memory or executing (see package fuse).
type Fuse struct {
	notices []string
}

// Name is "fuse".
func (*Fuse) Name() string { return "fuse" }

// Notices are what a person should know of the last mount.
func (f *Fuse) Notices() []string { return f.notices }

// Mount mounts the overlay and begins to serve it.
func (f *Fuse) Mount(t Tree) (unmount func() error, err error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if t.Upper == "" && len(t.Lowers) == 1 && t.Maps == nil {
		return bind(t.Lowers[0], t.Target, true)
	}
	if missing := missingDir(t); missing != nil {
		return nil, fmt.Errorf("cannot serve the overlay: %w", missing)
	}
	o, err := overlay.New(overlay.Options{Lowers: t.Lowers, Upper: t.Upper, Work: t.Work, ReadOnly: t.ReadOnly, Volatile: t.Volatile, Maps: t.Maps})
	if err != nil {
		return nil, fmt.Errorf("cannot serve the overlay: %w", err)
	}
	tune()
	c, err := fuse.Mount(t.Target, fuse.Options{Source: "overlay", ReadOnly: t.ReadOnly, Flags: o.Flags()}, o)
	if err != nil {
		err = errors.Join(fmt.Errorf("cannot serve the overlay: %w", err), o.Close())
		if errors.Is(err, fuse.ErrNoDevice) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EPROTO) || errors.Is(err, unix.EINVAL) {
			err = refused{err}
		}
		return nil, err
	}
	f.notices = o.Notices()
	detach := unmounter(t.Target)
	return func() error {
		if err := detach(); err != nil {
			return err
		}
		// All of it is on its way to the disk when the server has answered the last
		// request. Who is still in the mount ends with this process.
		select {
		case <-c.Done():
		case <-time.After(5 * time.Second):
			return nil
		}
		return o.Close()
	}, nil
}

// tune prepares a process that waits more than it computes for one that serves
// all that a container does: threads of its own for it, and little garbage kept, as
// what it allocates is mostly there to stay.
func tune() {
	runtime.GOMAXPROCS(max(4, min(runtime.NumCPU(), 8)))
	debug.SetGCPercent(50)
}
