package forward

import (
	"io"
	"net"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"
)

// relay carries bytes between the container's connection and the host's until
// both are closed. Each byte is copied twice, by the kernel: from the device into
// the stack's queue and from there into the socket, and the other way round; none
// is copied by us.
func relay(ep tcpip.Endpoint, q *waiter.Queue, host *net.TCPConn) {
	raw, err := host.SyscallConn()
	if err != nil {
		ep.Abort()
		host.Close()
		return
	}
	readable, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	writable, space := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	q.EventRegister(&readable)
	q.EventRegister(&writable)
	defer q.EventUnregister(&readable)
	defer q.EventUnregister(&writable)

	inward := make(chan bool)
	go func() {
		fine := (&toContainer{ep: ep, space: space}).run(raw.Read)
		if fine {
			ep.Shutdown(tcpip.ShutdownWrite)
		} else {
			ep.Abort() // wakes the other direction
			reset(host)
		}
		inward <- fine
	}()
	fine := (&toHost{ep: ep, ready: ready}).run(raw.Write)
	if fine {
		host.CloseWrite()
	} else {
		reset(host) // wakes the other direction
		ep.Abort()
	}
	fine = <-inward && fine
	if fine {
		host.Close()
		ep.Close()
	}
}

// rawIO is RawConn's Read or Write: it calls f again whenever the socket is ready,
// until f returns true.
type rawIO func(f func(fd uintptr) bool) error

// toHost writes to the host what the container sends.
type toHost struct {
	ep    tcpip.Endpoint
	ready <-chan struct{}
	fd    int
	full  bool  // the socket takes no more now
	err   error // the socket is gone
}

// run tells whether the stream ended properly: the container closed it.
func (w *toHost) run(ready rawIO) bool {
	var end tcpip.Error
	step := func(fd uintptr) bool {
		w.fd, w.full = int(fd), false
		for {
			_, end = w.ep.Read(w, tcpip.ReadOptions{})
			if w.full {
				return false
			}
			if end != nil || w.err != nil {
				return true
			}
		}
	}
	for {
		if ready(step) != nil || w.err != nil {
			return false
		}
		switch end.(type) {
		case *tcpip.ErrWouldBlock:
			<-w.ready
		case *tcpip.ErrClosedForReceive:
			return true
		default:
			return false
		}
	}
}

// Write is called by the endpoint with each piece that it has received.
func (w *toHost) Write(b []byte) (n int, err error) {
	for n < len(b) {
		m, err := write(w.fd, b[n:])
		switch err {
		case 0:
			n += m
		case unix.EINTR:
		case unix.EAGAIN:
			w.full = true
			return n, errStop
		default:
			w.err = err
			return n, errStop
		}
	}
	return n, nil
}

// toContainer hands the stack what the host sends.
type toContainer struct {
	ep    tcpip.Endpoint
	space <-chan struct{}
	fd    int
	size  int // of what is there to be read
}

// run tells whether the stream ended properly: the host closed it.
func (r *toContainer) run(ready rawIO) bool {
	var end tcpip.Error
	var eof, failed bool
	step := func(fd uintptr) bool {
		r.fd = int(fd)
		for {
			n, err := waiting(r.fd)
			if err != 0 {
				failed = true
				return true
			}
			if n == 0 {
				switch err := peek(r.fd); err {
				case 0:
					continue // something came meanwhile
				case unix.EAGAIN:
					return false
				case unix.ENODATA:
					eof = true
				case unix.EINTR:
					continue
				default:
					failed = true
				}
				return true
			}
			r.size = n
			if _, end = r.ep.Write(r, tcpip.WriteOptions{}); end != nil {
				return true
			}
		}
	}
	for {
		end = nil
		if ready(step) != nil || failed {
			return false
		}
		if eof {
			return true
		}
		if _, full := end.(*tcpip.ErrWouldBlock); !full {
			return false
		}
		<-r.space
	}
}

// Len is how much the endpoint may read at once.
func (r *toContainer) Len() int { return min(r.size, 256<<10) }

// Read is called by the endpoint with room for what it sends.
func (r *toContainer) Read(b []byte) (int, error) {
	for {
		n, err := read(r.fd, b)
		switch {
		case err == unix.EINTR:
		case err != 0:
			return 0, err
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		default:
			return n, nil
		}
	}
}
