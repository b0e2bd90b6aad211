package link

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// ackDelay is how long an acknowledgement waits for data of the same connection to
// go along with. A kernel would let it wait for 40 ms.
const ackDelay = 500 * time.Microsecond

// interactive is the largest frame whose acknowledgement waits. What is sent in
// bulk is acknowledged at once: the sender may be waiting for that.
const interactive = 2048

// acks holds back one acknowledgement that carries nothing else. The stack sends
// one for all that it receives, before whoever it is for has seen it; where an answer
// follows at once, as in most conversations, that says the same, and the
// container's kernel is spared a frame, which is a sixth of the time of a round trip.
type acks struct {
	mu    sync.Mutex
	frame []byte // the virtio_net header and the frame; empty when none is held
	of    conversation
	timer *time.Timer
}

// conversation is a connection's addresses and ports, as they stand in its headers.
type conversation struct {
	addrs [32]byte
	ports [4]byte
}

// pass tells whether a TCP packet of the stack is to be sent now. What was held for
// the same connection is forgotten, because this packet says it too; any other goes
// out first.
func (e *Endpoint) pass(pkt *stack.PacketBuffer, head *vnet) bool {
	tcp := header.TCP(pkt.TransportHeader().Slice())
	if len(tcp) < header.TCPMinimumSize {
		return true
	}
	var c conversation
	ip := pkt.NetworkHeader().Slice()
	switch {
	case len(ip) >= header.IPv6MinimumSize && ip[0]>>4 == 6:
		copy(c.addrs[:], ip[8:40])
	case len(ip) >= header.IPv4MinimumSize:
		copy(c.addrs[:], ip[12:20])
	}
	copy(c.ports[:], tcp[:4])
	a := &e.acks
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.frame) > 0 {
		if a.of != c {
			e.sendHeld()
		}
		a.frame = a.frame[:0]
	}
	if tcp.Flags() != header.TCPFlagAck || pkt.Data().Size() > 0 || !e.small.Load() {
		return true
	}
	a.frame = append(a.frame, head[:]...)
	for _, s := range pkt.AsSlices() {
		a.frame = append(a.frame, s...)
	}
	a.of = c
	if a.timer == nil {
		a.timer = time.AfterFunc(ackDelay, e.flushAck)
	} else {
		a.timer.Reset(ackDelay)
	}
	return false
}

// flushAck sends what nothing followed.
func (e *Endpoint) flushAck() {
	e.acks.mu.Lock()
	defer e.acks.mu.Unlock()
	e.sendHeld()
	e.acks.frame = e.acks.frame[:0]
}

func (e *Endpoint) sendHeld() {
	frame := e.acks.frame
	if len(frame) == 0 || !e.IsAttached() {
		return
	}
	if e.Seen != nil {
		e.Seen(frame[HeaderSize:])
	}
	e.out(iovec(nil, frame))
}
