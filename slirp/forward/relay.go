package forward

import (
	"io"
	"net"
	"sync"

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
	size  int    // of what there is to be read without a copy
	kept  []byte // of the first piece, what the stack had no room for yet
	first *[]byte
}

// piece is what is read first, in one call: all there is of a question or an
// answer. When it is full there may be much more, which then goes straight into
// the stack's memory.
const piece = 4096

var pieces = sync.Pool{New: func() any { b := make([]byte, piece); return &b }}

// run tells whether the stream ended properly: the host closed it.
func (r *toContainer) run(ready rawIO) bool {
	var end tcpip.Error
	var eof, failed bool
	defer r.drop()
	step := func(fd uintptr) bool {
		r.fd = int(fd)
		for {
			switch err := r.fill(); err {
			case 0:
			case unix.EAGAIN:
				r.drop() // an idle connection has no buffer
				return false
			case unix.ENODATA:
				eof = true
				return true
			default:
				failed = true
				return true
			}
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

// fill sees to it that there is something to write: ENODATA is the end.
func (r *toContainer) fill() unix.Errno {
	if len(r.kept) > 0 || r.size > 0 {
		return 0
	}
	if r.first == nil {
		r.first = pieces.Get().(*[]byte)
	}
	for {
		n, err := read(r.fd, *r.first)
		switch {
		case err == unix.EINTR:
			continue
		case err != 0:
			return err
		case n == 0:
			return unix.ENODATA
		}
		r.kept = (*r.first)[:n]
		if n == piece {
			r.size, err = waiting(r.fd)
		}
		return err
	}
}

func (r *toContainer) drop() {
	if r.first != nil && len(r.kept) == 0 {
		pieces.Put(r.first)
		r.first = nil
	}
}

// Len is how much the endpoint may read at once.
func (r *toContainer) Len() int { return min(len(r.kept)+r.size, 256<<10) }

// Read is called by the endpoint with room for what it sends.
func (r *toContainer) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if len(r.kept) > 0 {
		n := copy(b, r.kept)
		r.kept = r.kept[n:]
		return n, nil
	}
	for {
		n, err := read(r.fd, b)
		switch {
		case err == unix.EINTR:
		case err != 0:
			return 0, err
		case n == 0:
			return 0, io.ErrUnexpectedEOF
		default:
			r.size = max(0, r.size-n)
			return n, nil
		}
	}
}
