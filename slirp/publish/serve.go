package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxConns is how many TCP connections a server has at most; fewer where the limit
	// on open files says so.
	MaxConns = 16384

	// spareFiles of that limit are left to others: listening sockets, UDP flows, logs.
	spareFiles = 512
	// filesPerConn: two sockets. Pipes are only had while bytes are on their way.
	filesPerConn = 2

	// A client that is gone without a word is noticed after some minutes, so that it
	// does not hold its place for ever. Those at the other end cannot notice: what they
	// probe is us.
	keepIdle     = 2 * time.Minute
	keepInterval = 30 * time.Second
	keepCount    = 4
)

// Server carries connections until it is closed.
type Server struct {
	in     Inside
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
	max    int
	flows  flows

	mu     sync.Mutex
	open   map[closer]bool // listeners and connections, nil when closed
	conns  int
	closed bool
}

type closer interface{ Close() error }

// Serve accepts on bound ports until ctx ends or the server is closed. The sockets
// are its own from now on, also when it fails.
func Serve(ctx context.Context, bound []Bound, in Inside) (*Server, error) {
	s := &Server{in: in, open: map[closer]bool{}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.flows.init()
	s.max, s.flows.max = limits()
	defer func() {
		for _, b := range bound {
			b.Close()
		}
	}()
	for _, b := range bound {
		for _, f := range b.Files {
			var err error
			if b.Proto == "udp" {
				var c net.PacketConn
				if c, err = net.FilePacketConn(f); err == nil {
					err = s.packets(c, b.ContainerPort)
				}
			} else {
				var l net.Listener
				if l, err = net.FileListener(f); err == nil {
					err = s.listener(l, b.ContainerPort)
				}
			}
			if err != nil {
				s.Close()
				return nil, fmt.Errorf("published port %s: %w", b.Port, err)
			}
		}
	}
	context.AfterFunc(s.ctx, func() { s.Close() })
	return s, nil
}

// Close ends all connections, and returns when nothing of the server is left.
func (s *Server) Close() error {
	s.cancel()
	s.mu.Lock()
	open := s.open
	s.open, s.closed = nil, true
	s.mu.Unlock()
	for c := range open {
		c.Close()
	}
	s.flows.close()
	s.wait.Wait()
	return nil
}

// keep has c closed with the server; it is closed at once when that is.
func (s *Server) keep(c closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.Close()
		return false
	}
	s.open[c] = true
	return true
}

func (s *Server) drop(c closer) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

func (s *Server) listener(l net.Listener, port uint16) error {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		l.Close()
		return fmt.Errorf("not a TCP socket")
	}
	if !s.keep(l) {
		return net.ErrClosed
	}
	s.wait.Go(func() { s.accept(tcp, port) })
	return nil
}

// accept serves one listening socket. When there are no descriptors or buffers, it
// waits a while: those who come stay in the socket's queue.
func (s *Server) accept(l *net.TCPListener, port uint16) {
	defer s.drop(l)
	var pause time.Duration
	for {
		c, err := l.AcceptTCP()
		switch {
		case err == nil:
			pause = 0
			s.serve(c, port)
		case errors.Is(err, net.ErrClosed):
			return
		case lasting(err):
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
			case <-s.ctx.Done():
				return
			}
		default: // of this one connection: accept(2) passes on what became of it
		}
	}
}

// lasting reports whether the next accept would fail as well.
func lasting(err error) bool {
	for _, e := range []syscall.Errno{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EINVAL, unix.EBADF, unix.ENOTSOCK} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// serve takes a connection, or resets it when there are too many.
func (s *Server) serve(c *net.TCPConn, port uint16) {
	s.mu.Lock()
	if s.closed || s.conns >= s.max {
		s.mu.Unlock()
		reset(c)
		return
	}
	s.conns++
	s.open[c] = true
	s.mu.Unlock()
	s.wait.Go(func() {
		defer func() {
			s.drop(c)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.conns--
		}()
		c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepIdle, Interval: keepInterval, Count: keepCount})
		inner, err := s.in.DialTCP(s.ctx, addrPort(c.RemoteAddr()), port)
		if err != nil {
			reset(c) // what a client sees at a port where nobody listens, a moment late
			return
		}
		if s.keep(inner) {
			relay(c, inner)
		}
		s.drop(inner)
	})
}

// addrPort is the address of a TCP or UDP socket.
func addrPort(a net.Addr) netip.AddrPort {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// limits are how many connections and flows there may be, so that accept(2) and
// socket(2) do not run out of descriptors.
func limits() (conns, flows int) {
	var rlimit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &rlimit); err != nil || rlimit.Cur > 1<<20 {
		return MaxConns, MaxFlows
	}
	files := int(rlimit.Cur)
	flows = min(MaxFlows, files/4)
	return min(MaxConns, max(1, (files-flows-spareFiles)/filesPerConn)), flows
}
