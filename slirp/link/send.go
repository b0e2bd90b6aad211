package link

import (
	"sync"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// pieces is memory for one frame's way out.
type pieces struct {
	head vnet
	eth  [header.EthernetMinimumSize]byte
	iov  []unix.Iovec
}

var free = sync.Pool{New: func() any { return &pieces{iov: make([]unix.Iovec, 0, 16)} }}

// WritePackets writes the stack's packets to the device. One that the device
// has no room for is dropped, as on a wire.
func (e *Endpoint) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for _, pkt := range pkts.AsSlice() {
		e.write(pkt)
	}
	return pkts.Len(), nil
}

func (e *Endpoint) write(pkt *stack.PacketBuffer) {
	p := free.Get().(*pieces)
	p.head = vnet{}
	if g := &pkt.GSOOptions; g.Type != stack.GSONone {
		if g.NeedsCsum {
			p.head.partial(header.EthernetMinimumSize+int(g.L3HdrLen), int(g.CsumOffset))
		}
		if pkt.Data().Size() > int(g.MSS) {
			kind := byte(gsoTCPv4)
			if g.Type == stack.GSOTCPv6 {
				kind = gsoTCPv6
			}
			p.head.segments(kind, pkt.HeaderSize(), int(g.MSS))
		}
	}
	if pkt.TransportProtocolNumber == header.TCPProtocolNumber && !e.pass(pkt, &p.head) {
		free.Put(p)
		return
	}
	slices := pkt.AsSlices()
	if e.Seen != nil {
		e.Seen(slices...)
	}
	p.iov = iovec(p.iov[:0], p.head[:])
	for _, s := range slices {
		p.iov = iovec(p.iov, s)
	}
	e.out(p.iov)
	clear(p.iov)
	free.Put(p)
}

// Send writes an ethernet frame's payload that did not come from the stack. The
// IP packet begins in a and goes on in b; partial is the offset of a
// transport checksum in it that holds the pseudo header's sum only and is
// to be completed, or 0.
func (e *Endpoint) Send(proto tcpip.NetworkProtocolNumber, to tcpip.LinkAddress, a, b []byte, start, partial int) {
	p := free.Get().(*pieces)
	p.head = vnet{}
	if partial > 0 {
		p.head.partial(header.EthernetMinimumSize+start, partial)
	}
	header.Ethernet(p.eth[:]).Encode(&header.EthernetFields{SrcAddr: e.addr, DstAddr: to, Type: proto})
	if e.Seen != nil {
		e.Seen(p.eth[:], a, b)
	}
	p.iov = iovec(iovec(iovec(iovec(p.iov[:0], p.head[:]), p.eth[:]), a), b)
	e.out(p.iov)
	clear(p.iov)
	free.Put(p)
}

// out writes one frame. There is nothing to do about an error: what
// is lost is sent again by whoever cares.
func (e *Endpoint) out(iov []unix.Iovec) {
	for writev(e.fd, iov) == unix.EINTR {
	}
}
