package forward

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Bounds of UDP. How long a flow is kept is conntrack's: 30 s for a question
// without an answer, 120 s for a conversation.
const (
	maxFlows      = 4096
	unansweredAge = 30 * time.Second
	answeredAge   = 120 * time.Second
	sweepEvery    = 5 * time.Second
)

// UDP carries datagrams. A flow is one pair of addresses and ports; it has a
// socket of the host that is connected, so that the host's kernel keeps others'
// datagrams out and tells when nobody listens.
type UDP struct {
	Net *Net
	DNS func(query []byte, reply func([]byte)) // answers a query to the relay's address

	mu       sync.Mutex
	flows    map[flowKey]*flow
	sweeping bool
}

type flowKey struct{ src, dst netip.AddrPort }

type flow struct {
	udp      *UDP
	wire     *Wire
	key      flowKey
	conn     *net.UDPConn
	raw      syscall.RawConn
	used     atomic.Int64 // unix seconds
	answered atomic.Bool

	out  []byte // what send is sending
	step func(fd uintptr) bool
	err  unix.Errno
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 65536); return &b }}

// Packet takes a datagram of the container: src and dst, and the UDP header with
// what follows it, which is only valid during the call.
func (u *UDP) Packet(w *Wire, src, dst netip.Addr, segment []byte) {
	h := header.UDP(segment)
	if len(segment) < header.UDPMinimumSize || int(h.Length()) > len(segment) || h.Length() < header.UDPMinimumSize {
		return
	}
	data := segment[header.UDPMinimumSize:h.Length()]
	key := flowKey{netip.AddrPortFrom(src, h.SourcePort()), netip.AddrPortFrom(dst, h.DestinationPort())}
	if u.DNS != nil && key.dst.Port() == 53 && u.Net.IsDNS(dst) {
		query := append([]byte(nil), data...)
		u.DNS(query, func(answer []byte) { w.UDP(key.dst, key.src, answer) })
		return
	}
	f, err := u.flow(w, key)
	if err != nil {
		if why := reason(err); why != silent {
			w.Unreachable(u.Net.Gateway(src), src, dst, header.UDPProtocolNumber, segment, why)
		}
		return
	}
	if f == nil {
		return
	}
	if e := f.send(data); e != 0 && e != unix.EAGAIN && e != unix.EMSGSIZE {
		w.Unreachable(u.Net.Gateway(src), src, dst, header.UDPProtocolNumber, segment, reason(e))
	}
}

// flow finds the datagram's flow or makes it; nil without an error says that the
// datagram is to be dropped.
func (u *UDP) flow(w *Wire, key flowKey) (*flow, error) {
	u.mu.Lock()
	f := u.flows[key]
	u.mu.Unlock()
	if f != nil {
		return f, nil
	}
	if a := key.dst.Addr(); a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return nil, nil
	}
	to, err := u.Net.Allow(key.dst)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, err
	}
	f = &flow{udp: u, wire: w, key: key, conn: conn, raw: raw}
	f.used.Store(now())
	tellErrors(raw, to.Addr())
	f.step = func(fd uintptr) bool {
		// An error may be what ICMP said of an earlier datagram: it is told, and this one
		// is sent all the same.
		if _, f.err = write(int(fd), f.out); f.err != 0 && f.err != unix.EAGAIN && f.err != unix.EMSGSIZE {
			write(int(fd), f.out)
		}
		return true
	}
	if !u.add(f) {
		conn.Close()
		return nil, nil
	}
	go f.receive()
	return f, nil
}

// add enters a flow; in a full table an older one without an answer makes room,
// and if there is none the new one is refused.
func (u *UDP) add(f *flow) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.flows == nil {
		u.flows = map[flowKey]*flow{}
	}
	if len(u.flows) >= maxFlows {
		old := u.dispensable()
		if old == nil {
			return false
		}
		u.drop(old)
	}
	u.flows[f.key] = f
	if !u.sweeping {
		u.sweeping = true
		go u.sweep()
	}
	return true
}

// dispensable picks the oldest unanswered of a few flows.
func (u *UDP) dispensable() *flow {
	var old *flow
	tries := 0
	for _, f := range u.flows {
		if !f.answered.Load() && (old == nil || f.used.Load() < old.used.Load()) {
			old = f
		}
		if tries++; tries == 64 {
			break
		}
	}
	return old
}

func (u *UDP) drop(f *flow) {
	if u.flows[f.key] == f {
		delete(u.flows, f.key)
	}
	f.conn.Close()
}

// sweep ends flows that are out of use, as long as there are any.
func (u *UDP) sweep() {
	for {
		time.Sleep(sweepEvery)
		u.mu.Lock()
		u.expire(now())
		if len(u.flows) == 0 {
			u.sweeping = false
			u.mu.Unlock()
			return
		}
		u.mu.Unlock()
	}
}

// expire ends the flows that are out of use at a time.
func (u *UDP) expire(t int64) {
	for _, f := range u.flows {
		age := unansweredAge
		if f.answered.Load() {
			age = answeredAge
		}
		if t-f.used.Load() > int64(age/time.Second) {
			u.drop(f)
		}
	}
}

// send sends one datagram; one that does not fit into the socket's buffer is lost.
func (f *flow) send(b []byte) unix.Errno {
	f.used.Store(now())
	f.out, f.err = b, 0
	if f.raw.Write(f.step) != nil {
		return 0 // swept at this moment: lost
	}
	f.out = nil
	return f.err
}

// receive hands answers to the container until the flow is closed.
func (f *flow) receive() {
	f.raw.Read(func(fd uintptr) bool {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		for failures := 0; failures < 64; {
			n, e := read(int(fd), *buf)
			switch e {
			case 0:
				f.used.Store(now())
				f.answered.Store(true)
				f.wire.UDP(f.key.dst, f.key.src, (*buf)[:n])
			case unix.EINTR:
			case unix.EAGAIN:
				return false
			default: // what ICMP said of an earlier datagram; it is not the end
				failures++
				forgetErrors(int(fd))
				f.failed(e)
			}
		}
		return true
	})
	f.udp.mu.Lock()
	f.udp.drop(f)
	f.udp.mu.Unlock()
}

func (f *flow) failed(e unix.Errno) {
	why := reason(e)
	if why == silent {
		return
	}
	var h [header.UDPMinimumSize]byte
	header.UDP(h[:]).Encode(&header.UDPFields{SrcPort: f.key.src.Port(), DstPort: f.key.dst.Port(), Length: header.UDPMinimumSize})
	f.wire.Unreachable(f.udp.Net.Gateway(f.key.src.Addr()), f.key.src.Addr(), f.key.dst.Addr(), header.UDPProtocolNumber, h[:], why)
}

// Close ends all flows.
func (u *UDP) Close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.flows {
		u.drop(f)
	}
}

func now() int64 { return time.Now().Unix() }
