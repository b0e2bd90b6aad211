package forward

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Bounds of TCP. Beyond the first two a new connection is refused as by a host
// that has no room for it; nothing that is established suffers.
const (
	maxConnections = 16384
	maxConnecting  = 2048

	connectTimeout = 130 * time.Second // the container's own kernel gives up after about 127
)

// TCP carries connections that the container opens to the world.
type TCP struct {
	Net    *Net
	DNS    func(ctx context.Context, c net.Conn) // serves a connection to the relay's address
	active atomic.Int64

	mu   sync.Mutex
	syns map[stack.TransportEndpointID]uint32 // sequence numbers of what is being connected
}

// Handler is what the stack gives segments to that belong to no connection.
func (t *TCP) Handler(s *stack.Stack) func(stack.TransportEndpointID, *stack.PacketBuffer) bool {
	t.syns = map[stack.TransportEndpointID]uint32{}
	f := tcp.NewForwarder(s, 0, maxConnecting+1, t.open) // the table is the bound: it has every id that the forwarder has
	return func(id stack.TransportEndpointID, pkt *stack.PacketBuffer) bool {
		h := header.TCP(pkt.TransportHeader().Slice())
		if h.Flags()&(header.TCPFlagSyn|header.TCPFlagAck) == header.TCPFlagSyn {
			if !t.expect(id, h.SequenceNumber()) {
				return true
			}
			if !f.HandlePacket(id, pkt) { // malformed
				t.forget(id)
				return false
			}
			return true
		}
		return f.HandlePacket(id, pkt)
	}
}

// expect notes the number of a SYN, unless there are too many.
func (t *TCP) expect(id stack.TransportEndpointID, seq uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, there := t.syns[id]; !there && len(t.syns) >= maxConnecting {
		return false
	}
	t.syns[id] = seq
	return true
}

func (t *TCP) forget(id stack.TransportEndpointID) {
	t.mu.Lock()
	delete(t.syns, id)
	t.mu.Unlock()
}

// complete ends a request in the forwarder first, which so never has more than the table.
func (t *TCP) complete(r *tcp.ForwarderRequest, id stack.TransportEndpointID, reset bool) {
	r.Complete(reset)
	t.forget(id)
}

// open connects to where the container wants to, and only then answers it: what
// the container's connect(2) says is what the world said.
func (t *TCP) open(r *tcp.ForwarderRequest) {
	id := r.ID()
	if t.active.Add(1) > maxConnections {
		t.active.Add(-1)
		t.complete(r, id, true)
		return
	}
	defer t.active.Add(-1)
	dst := netip.AddrPortFrom(address(id.LocalAddress), id.LocalPort)
	if t.DNS != nil && dst.Port() == 53 && t.Net.IsDNS(dst.Addr()) {
		t.serveDNS(r, id)
		return
	}
	to, why := t.Net.Allow(dst)
	if why != nil {
		t.refuse(r, id, why)
		return
	}
	host, err := dial(t.Net.Context, to)
	if err != nil {
		t.refuse(r, id, err)
		return
	}
	var q waiter.Queue
	ep, terr := r.CreateEndpoint(&q)
	if terr != nil { // the container thought better of it
		t.complete(r, id, false)
		reset(host)
		return
	}
	t.complete(r, id, false)
	ep.SocketOptions().SetDelayOption(false)
	t.size(ep)
	relay(ep, &q, host)
}

// size keeps the memory of many connections in bounds: few get large buffers.
func (t *TCP) size(ep tcpip.Endpoint) {
	n := int64(1 << 20)
	switch active := t.active.Load(); {
	case active > 2048:
		n = 32 << 10
	case active > 512:
		n = 128 << 10
	case active > 64:
		n = 512 << 10
	}
	ep.SocketOptions().SetSendBufferSize(n, true)
	ep.SocketOptions().SetReceiveBufferSize(n, true)
}

func (t *TCP) serveDNS(r *tcp.ForwarderRequest, id stack.TransportEndpointID) {
	var q waiter.Queue
	ep, err := r.CreateEndpoint(&q)
	if err != nil {
		t.complete(r, id, false)
		return
	}
	t.complete(r, id, false)
	t.DNS(t.Net.Context, gonet.NewTCPConn(&q, ep))
}

// refuse lets the container's connect(2) fail as ours did.
func (t *TCP) refuse(r *tcp.ForwarderRequest, id stack.TransportEndpointID, err error) {
	t.mu.Lock()
	seq, known := t.syns[id]
	t.mu.Unlock()
	switch why := reason(err); {
	case why == silent: // it timed out: so does the container, by itself
		t.complete(r, id, false)
	case why == refused || !known:
		t.complete(r, id, true)
	default:
		var l4 [8]byte
		header.TCP(l4[:]).SetSourcePort(id.RemotePort)
		header.TCP(l4[:]).SetDestinationPort(id.LocalPort)
		header.TCP(l4[:]).SetSequenceNumber(seq)
		src := address(id.RemoteAddress)
		if w := t.Net.Wire(src); w != nil {
			w.Unreachable(t.Net.Gateway(src), src, address(id.LocalAddress), header.TCPProtocolNumber, l4[:], why)
		}
		t.complete(r, id, false)
	}
}

// dial opens the host's side of a connection. No keep-alive is added but the
// kernel's slow one, which finds a peer that vanished.
func dial(ctx context.Context, to netip.AddrPort) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: connectTimeout, KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1,
		Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1) })
		}}
	d.SetMultipathTCP(false)
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// reset closes a connection so that its peer sees it reset.
func reset(c *net.TCPConn) {
	c.SetLinger(0)
	c.Close()
}

var errStop = errors.New("stop")
