package publish

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kind of socket: AF_INET and IPPROTO_TCP and their kin.
type kind struct{ family, proto int }

// ahead is how many sockets are made at a time: each visit to the namespace's thread
// costs two context switches, a socket less than one.
const ahead = 8

// stock is unused sockets in the container's namespace.
type stock struct {
	ns Thread

	mu     sync.Mutex
	kept   map[kind][]int
	closed bool
}

func (s *stock) take(k kind) (fd int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return -1, net.ErrClosed
	}
	if len(s.kept[k]) == 0 {
		s.kept[k], err = makeSockets(s.ns, k)
		if err != nil {
			return -1, err
		}
	}
	last := len(s.kept[k]) - 1
	fd = s.kept[k][last]
	s.kept[k] = s.kept[k][:last]
	return fd, nil
}

func (s *stock) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, fds := range s.kept {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	s.kept = nil
}

// makeSockets makes as many as it can, and fails when that is none.
func makeSockets(ns Thread, k kind) (fds []int, err error) {
	how := unix.SOCK_STREAM
	if k.proto == unix.IPPROTO_UDP {
		how = unix.SOCK_DGRAM
	}
	err = ns.Do(func() error {
		for range ahead {
			fd, err := unix.Socket(k.family, how|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				return os.NewSyscallError("socket", err)
			}
			fds = append(fds, fd)
		}
		return nil
	})
	if len(fds) > 0 {
		return fds, nil
	}
	return nil, err
}

// socket makes one that is bound to src, if that is valid, and connected or connecting
// to dst. When the port of src is taken, its address has to do: the client may have
// another connection from that port, to another port of ours, or have had one just now.
func (s *Sockets) socket(proto int, src, dst netip.AddrPort) (fd int, err error) {
	for {
		fd, err = s.stock.take(kind{family(dst.Addr()), proto})
		if err != nil {
			return -1, err
		}
		err = join(fd, src, dst)
		if err == nil || err == unix.EINPROGRESS {
			return fd, nil
		}
		unix.Close(fd)
		retry := err == unix.EADDRINUSE || err == unix.EADDRNOTAVAIL || err == unix.EACCES
		if !retry || !src.IsValid() || src.Port() == 0 {
			return -1, err
		}
		src = netip.AddrPortFrom(src.Addr(), 0)
	}
}

// join binds and connects.
func join(fd int, src, dst netip.AddrPort) error {
	if src.IsValid() {
		if err := transparent(fd, family(src.Addr())); err != nil {
			return err
		}
		// Two sockets may have one client's port, as long as they go to different ports
		// of the container; and a free one is chosen at connect(2), where that is known.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
		if src.Port() == 0 {
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		}
		sa, err := sockaddr(src)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, sa); err != nil {
			return err
		}
	}
	sa, err := sockaddr(dst)
	if err != nil {
		return err
	}
	return again(func() error { return unix.Connect(fd, sa) })
}

// transparent lets a socket be bound to an address that no interface has. It needs
// CAP_NET_ADMIN or CAP_NET_RAW in the user namespace that owns the socket's network.
func transparent(fd, family int) error {
	if family == unix.AF_INET6 {
		return os.NewSyscallError("setsockopt IPV6_TRANSPARENT", unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1))
	}
	return os.NewSyscallError("setsockopt IP_TRANSPARENT", unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1))
}

// wrap makes a connection of the net package of a socket that connects, and waits
// until it has. It owns the socket.
func wrap(ctx context.Context, fd int, release func()) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "inner")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, err
	}
	switch c := c.(type) {
	case *net.UDPConn:
		return &udpConn{UDPConn: c, release: sync.OnceFunc(release)}, nil
	case *net.TCPConn:
		if err := connected(ctx, c); err != nil {
			c.Close()
			return nil, err
		}
		return &tcpConn{TCPConn: c, release: sync.OnceFunc(release)}, nil
	default:
		c.Close()
		return nil, net.UnknownNetworkError("")
	}
}

// connected waits for the end of a handshake. Mostly it is over: the other end is
// in the same kernel, and only waits when too many others wait to be accepted.
func connected(ctx context.Context, c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.SetWriteDeadline(time.Unix(1, 0)) })
	defer stop()
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		if !polled(int(fd), unix.POLLOUT) {
			return false
		}
		errno, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		if err == nil && errno != 0 {
			err = syscall.Errno(errno)
		}
		failed = err
		return true
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	return failed
}

// polled reports whether a descriptor is in one of some states now. Errors and
// hang-ups are always among them.
func polled(fd int, events int16) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(p, 0)
	return err != nil && err != unix.EINTR || n > 0
}

// tcpConn and udpConn give back what was claimed for them.
type tcpConn struct {
	*net.TCPConn
	release func()
}

func (c *tcpConn) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}

type udpConn struct {
	*net.UDPConn
	release func()
	move    func() bool // nil: the container has one address only
}

func (c *udpConn) refused() bool { return c.move != nil && c.move() }

func (c *udpConn) Close() error {
	defer c.release()
	return c.UDPConn.Close()
}
