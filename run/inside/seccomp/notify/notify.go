// Package notify answers the system calls that the fake root's filter cannot
// judge, because what decides is in the caller's memory. It runs in the
// monitor: in the container's user namespace with all capabilities, in an
// ancestor of its pid namespace.
//
//	workload                kernel                     monitor
//	setxattr(path, name) ─▶ filter: USER_NOTIF ─ RECV ▶ read name from the caller
//	    ⋮ (waits)                                       still the same call? (ID_VALID)
//	0, or the real call  ◀─────────────────────── SEND ─ 0, or CONTINUE
//
// What is answered:
//   - extended attributes named security.* and trusted.*: 0, not done. Nobody
//     with one id may set them, and what they grant (capabilities on a file,
//     labels) means nothing where everybody is the same id.
//   - system.posix_acl_*: 0, not done, when the list names an id that does not
//     exist here (the kernel would say EINVAL); else the real call.
//   - other names: the real call.
//   - mknod of a device: an empty regular file of that name and mode is made in
//     its place, as umoci does for device nodes when it unpacks without root:
//     what follows (chmod, utime, rename, a tar listing) finds something.
//
// This is an illusion, not a boundary: a caller that changes its memory between
// the check and the call deceives itself only. What the kernel forbids stays
// forbidden, since CONTINUE runs the real call with the caller's own rights.
//
// When the supervisor is gone the kernel answers ENOSYS to these calls, which
// programs take for a kernel or filesystem without them; rl's container dies
// with its monitor anyway.
package notify

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"rl/run/inside/seccomp"
)

// parallel calls that are worked on. The rest wait in the kernel: a flood
// costs the container its own time and the monitor no memory.
const parallel = 4

// A server serves one listener.
type server struct {
	fd     int
	answer map[seccomp.Entry]func(*server, *call)
	ids    idMaps
	nodes  sync.Mutex // held while a device's stand-in is made
	proc   string     // procfs of our pid namespace, with a slash, or ""
}

// Serve answers the calls of a listener until the last process under its filter
// has ended (nil), or ctx is done (its error). It owns fd and closes it: calls
// that still wait then get ENOSYS.
func Serve(ctx context.Context, fd int) (err error) {
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	ids, err := readIDMaps()
	if err != nil {
		return fmt.Errorf("seccomp notifications: %w", err)
	}
	proc, done := procfs()
	defer done()
	s := &server{fd: fd, proc: proc, answer: handlers(), ids: ids}
	return s.serve(ctx)
}

// handlers by entry point; a call that is not in it is let through.
func handlers() map[seccomp.Entry]func(*server, *call) {
	m := map[seccomp.Entry]func(*server, *call){}
	for name, h := range map[string]func(*server, *call){
		"setxattr":      func(s *server, c *call) { s.setxattr(c, c.args[1], c.args[2], c.args[3]) },
		"lsetxattr":     func(s *server, c *call) { s.setxattr(c, c.args[1], c.args[2], c.args[3]) },
		"fsetxattr":     func(s *server, c *call) { s.setxattr(c, c.args[1], c.args[2], c.args[3]) },
		"setxattrat":    func(s *server, c *call) { s.setxattrat(c, c.args[3], c.args[4], c.args[5]) },
		"removexattr":   func(s *server, c *call) { s.removexattr(c, c.args[1]) },
		"lremovexattr":  func(s *server, c *call) { s.removexattr(c, c.args[1]) },
		"fremovexattr":  func(s *server, c *call) { s.removexattr(c, c.args[1]) },
		"removexattrat": func(s *server, c *call) { s.removexattr(c, c.args[3]) },
		"mknod":         func(s *server, c *call) { s.mknod(c, unix.AT_FDCWD, c.args[0], uint32(c.args[1])) },
		"mknodat":       func(s *server, c *call) { s.mknod(c, int(int32(c.args[0])), c.args[1], uint32(c.args[2])) },
	} {
		for _, e := range seccomp.Entries(name) {
			m[e] = h
		}
	}
	return m
}

func (s *server) serve(ctx context.Context) error {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("seccomp notifications: eventfd: %w", err)
	}
	defer unix.Close(wake)
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		_, _ = unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // cannot fail: the counter is far from full
	})
	defer func() {
		if !stop() {
			<-woken // before wake is closed and its number used again
		}
	}()
	size, err := notifSize()
	if err != nil {
		return fmt.Errorf("seccomp notifications: %w", err)
	}
	// The answer usually wakes a process on this CPU (6.6); only a hint.
	_ = ioctlValue(s.fd, ioctlSetFlags, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)

	slots := make(chan struct{}, parallel)
	defer func() { // all handlers are done before fd is closed
		for range parallel {
			slots <- struct{}{}
		}
	}()
	for {
		fds := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
		switch _, err := unix.Poll(fds, -1); {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("seccomp notifications: poll: %w", err)
		case ctx.Err() != nil:
			return ctx.Err()
		case fds[0].Revents&unix.POLLIN == 0 && fds[0].Revents != 0:
			return nil // POLLHUP (5.8): nobody is left under the filter
		case fds[0].Revents == 0:
			continue
		}
		slots <- struct{}{}
		c, err := s.receive(size)
		switch err {
		case nil:
		case unix.ENOENT, unix.EINTR: // the caller died in between
			<-slots
			continue
		default:
			<-slots
			return fmt.Errorf("seccomp notifications: receive: %w", err)
		}
		go func() {
			defer func() { <-slots }()
			if h, ok := s.answer[seccomp.Entry{Arch: c.arch, Number: c.nr}]; ok {
				h(s, c)
			} else {
				s.proceed(c)
			}
		}()
	}
}
