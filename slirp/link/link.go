// Package link connects a tap device to the TCP/IP stack.
//
//	 10 bytes            14         up to 65535
//	┌────────────────┬──────────┬──────────────────────┐
//	│ virtio_net_hdr │ ethernet │ IP packet            │   one read(2) or write(2)
//	└────────────────┴──────────┴──────────────────────┘
//
// The device has a virtio_net header, which lets both sides hand over segments of
// 64 KB whatever the MTU, and leave checksums undone: the container's kernel and
// this process share a memory that does not err. That is most of the throughput.
//
// Each frame goes one of three ways: to another member of a user-defined network
// ([Endpoint.Switch]), to whoever looks at packets before the stack does
// ([Endpoint.Early]), or to the stack. What is malformed goes none.
package link

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Endpoint is a stack's end of a tap device. It implements stack.LinkEndpoint
// and stack.GSOEndpoint.
type Endpoint struct {
	// Switch takes a whole frame that is another member's; nil takes none. The
	// frame is the reader's memory and only valid during the call.
	Switch func(head, body []byte) bool
	// Early takes an IP packet before the stack; nil takes none.
	Early func(p *Packet) bool
	// Seen gets every frame, of either direction, in pieces; for captures.
	Seen func(parts ...[]byte)

	tap     syscall.RawConn
	fd      int
	mtu     atomic.Uint32
	offload bool
	addr    tcpip.LinkAddress

	acks  acks
	small atomic.Bool // the last TCP packet from the device was

	dispatcher atomic.Pointer[stack.NetworkDispatcher]
	done       sync.WaitGroup
}

var (
	_ stack.LinkEndpoint = (*Endpoint)(nil)
	_ stack.GSOEndpoint  = (*Endpoint)(nil)
)

// MTU is the largest IP packet that goes over the device without segmentation.
func (e *Endpoint) MTU() uint32 { return e.mtu.Load() }

// SetMTU changes what the stack believes; the device's own is set elsewhere.
func (e *Endpoint) SetMTU(n uint32) { e.mtu.Store(n) }

// MaxHeaderLength is the ethernet header's.
func (e *Endpoint) MaxHeaderLength() uint16 { return header.EthernetMinimumSize }

// LinkAddress is the gateway's.
func (e *Endpoint) LinkAddress() tcpip.LinkAddress { return e.addr }

// SetLinkAddress does nothing: the address is the same for the device's life.
func (e *Endpoint) SetLinkAddress(tcpip.LinkAddress) {}

// Capabilities says that checksums were verified (see receive) and that peers'
// link addresses must be known.
func (e *Endpoint) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload | stack.CapabilityResolutionRequired
}

// Attach gives the endpoint its stack; nil takes it away.
func (e *Endpoint) Attach(d stack.NetworkDispatcher) {
	if d == nil {
		e.dispatcher.Store(nil)
		return
	}
	e.dispatcher.Store(&d)
}

// IsAttached tells whether there is a stack.
func (e *Endpoint) IsAttached() bool { return e.dispatcher.Load() != nil }

// Wait waits until Serve has returned.
func (e *Endpoint) Wait() { e.done.Wait() }

// ARPHardwareType is ethernet's.
func (e *Endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }

// ParseHeader does nothing: the stack sees packets from their IP header on.
func (e *Endpoint) ParseHeader(*stack.PacketBuffer) bool { return true }

// Close does nothing: the device is its opener's.
func (e *Endpoint) Close() {}

// SetOnCloseAction does nothing.
func (e *Endpoint) SetOnCloseAction(func()) {}

// GSOMaxSize is the largest segment that the stack may hand over, headers included.
func (e *Endpoint) GSOMaxSize() uint32 { return 65535 }

// SupportedGSO is the kernel's, where the device has it.
func (e *Endpoint) SupportedGSO() stack.SupportedGSO {
	if e.offload {
		return stack.HostGSOSupported
	}
	return stack.GSONotSupported
}

// AddHeader writes the ethernet header.
func (e *Endpoint) AddHeader(pkt *stack.PacketBuffer) {
	header.Ethernet(pkt.LinkHeader().Push(header.EthernetMinimumSize)).Encode(&header.EthernetFields{
		SrcAddr: pkt.EgressRoute.LocalLinkAddress,
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// New makes an endpoint of a tap device that was opened, non-blocking, with a
// virtio_net header (see slirp/tap). addr is the gateway's link address.
func New(tap *os.File, offload bool, mtu int, addr [6]byte) (*Endpoint, error) {
	conn, err := tap.SyscallConn()
	if err != nil {
		return nil, err
	}
	e := &Endpoint{tap: conn, offload: offload, addr: tcpip.LinkAddress(addr[:])}
	e.mtu.Store(uint32(mtu))
	// Not File.Fd, which would make the device blocking. Whoever closes it has
	// detached the endpoint before.
	return e, conn.Control(func(fd uintptr) { e.fd = int(fd) })
}

// deliver hands an IP packet to the stack.
func (e *Endpoint) deliver(proto tcpip.NetworkProtocolNumber, b buffer.Buffer) {
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: b})
	if d := e.dispatcher.Load(); d != nil {
		(*d).DeliverNetworkPacket(proto, pkt)
	}
	pkt.DecRef()
}
