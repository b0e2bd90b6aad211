package link

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// front is what stands before the IP packet in the reader's memory.
const front = HeaderSize + header.EthernetMinimumSize

// Packets up to this size are copied out of the reader's memory, so that it need
// not be given away: a queue of small packets would otherwise hold 64 KB each.
const small = 4096

// Serve reads frames until the device is closed. It has the goroutine for itself.
func (e *Endpoint) Serve() error {
	e.done.Add(1)
	defer e.done.Done()
	r := reader{e: e}
	err := e.tap.Read(func(fd uintptr) bool { return r.drain(int(fd)) })
	if r.view != nil {
		r.view.Release()
	}
	if r.err != nil {
		return r.err
	}
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

type reader struct {
	e    *Endpoint
	head [front]byte
	view *buffer.View
	err  error
}

// drain reads until there is nothing more, or for good.
func (r *reader) drain(fd int) (stop bool) {
	for {
		if r.view == nil {
			r.view = buffer.NewView(buffer.MaxChunkSize)
			r.view.Grow(buffer.MaxChunkSize)
		}
		n, err := readv(fd, r.head[:], r.view.AsSlice())
		switch err {
		case nil:
			r.frame(n)
		case unix.EAGAIN:
			return false
		case unix.EINTR:
		case unix.EIO: // the device was removed, or is down
			return false
		default:
			r.err = os.NewSyscallError("read the tap device", err)
			return true
		}
	}
}

// frame takes one frame of n bytes.
func (r *reader) frame(n int) {
	body := r.view.AsSlice()
	if n <= front || n-front > len(body) {
		return
	}
	body = body[:n-front]
	e := r.e
	if e.Seen != nil {
		e.Seen(r.head[HeaderSize:], body)
	}
	hdr := (*vnet)(r.head[:HeaderSize])
	eth := header.Ethernet(r.head[HeaderSize:])
	if e.Switch != nil && e.Switch(r.head[:], body) {
		return
	}
	if to := eth.DestinationAddress(); to != e.addr && to[0]&1 == 0 {
		return
	}
	proto := eth.Type()
	if !e.acceptable(hdr, proto, body) {
		return
	}
	if e.Early != nil && proto != header.ARPProtocolNumber {
		p := Packet{Protocol: proto, Data: body}
		if p.parse() && e.Early(&p) {
			return
		}
	}
	if len(body) <= interactive != e.small.Load() {
		e.small.Store(len(body) <= interactive)
	}
	e.deliver(proto, r.keep(body))
}

// keep gives the stack a packet of its own. A large one keeps its memory, but for
// its headers: the stack would copy what they share memory with.
func (r *reader) keep(body []byte) buffer.Buffer {
	if len(body) <= small {
		return buffer.MakeWithView(buffer.NewViewWithData(body))
	}
	n := min(headers(body), len(body))
	b := buffer.MakeWithView(buffer.NewViewWithData(body[:n]))
	v := r.view
	r.view = nil
	v.CapLength(len(body))
	v.TrimFront(n)
	b.Append(v)
	return b
}

// headers is the length of an IP and a TCP header.
func headers(b []byte) int {
	n := header.IPv6MinimumSize
	if b[0]>>4 == 4 {
		n = int(b[0]&0xf) * 4
	}
	return n + int(b[n+12]>>4)*4 // nonsense when it is not TCP, and harmless: at most 60
}
