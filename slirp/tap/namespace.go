// Package tap makes a container's network devices, in the container's network
// namespace.
//
// A namespace is entered by a thread, not by a process: [Namespace] is an OS
// thread of its own that does what must be done inside (open a tap device, set
// addresses, make a socket), while the rest of the process stays in the host's.
//
//	goroutines of the process            the thread
//	  Do(f) ── f ──────────────────────▶  f()      in the container's network namespace
//	        ◀───────────────── error ──
//
// It refuses to be a general rtnetlink library: there is one device to set up, and
// every system call of it is paid at each start of a container.
package tap

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespace is a thread in a network namespace, for the life of the process:
// processes that it forks with PDEATHSIG would end with it.
type Namespace struct {
	work chan func()
}

// Unshare makes a network namespace, owned by the calling process's user namespace, with a
// thread in it.
func Unshare() (*Namespace, error) {
	return enter(func() error { return os.NewSyscallError("unshare(CLONE_NEWNET)", unix.Unshare(unix.CLONE_NEWNET)) })
}

// Enter puts a thread into an existing namespace. The process needs CAP_SYS_ADMIN
// over the user namespace that owns it.
func Enter(netns *os.File) (*Namespace, error) {
	return enter(func() error { return os.NewSyscallError("setns", unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET)) })
}

func enter(how func() error) (*Namespace, error) {
	n := &Namespace{work: make(chan func())}
	entered := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: no other goroutine may run here
		err := how()
		entered <- err
		if err != nil {
			return // the thread ends with its goroutine
		}
		for f := range n.work {
			f()
		}
	}()
	if err := <-entered; err != nil {
		if errors.Is(err, unix.ENOSPC) {
			return nil, fmt.Errorf("%w: the limit in /proc/sys/user/max_net_namespaces is exhausted", err)
		}
		return nil, err
	}
	return n, nil
}

// Do runs f on the thread, after what was asked before. f must not call Do.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error, 1)
	n.work <- func() { done <- f() }
	return <-done
}

// File opens the namespace itself, for setns(2) by others.
func (n *Namespace) File() (f *os.File, err error) {
	err = n.Do(func() error {
		f, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return f, err
}
