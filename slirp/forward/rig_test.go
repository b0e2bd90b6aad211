package forward

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"

	"rl/slirp/link"
	"rl/slirp/stack"
)

var (
	container = netip.MustParseAddr("10.0.2.100")
	gateway   = netip.MustParseAddr("10.0.2.2")
	world     = netip.MustParseAddr("192.0.2.2")
	inMAC     = [6]byte{2, 0, 0, 0, 0, 100}
	outMAC    = [6]byte{2, 0, 0, 0, 0, 1}
)

// frontSize is what stands before an IP packet on the device.
const frontSize = link.HeaderSize + header.EthernetMinimumSize

// rig is a stack with forwarders behind a device for which a socket of whole
// messages stands in, and the world is the loopback: whatever address is asked for,
// allow says where that is.
type rig struct {
	t    testing.TB
	peer int
	wire *Wire
	net  *Net
	tcp  *TCP
	s    *stack.Stack
}

func newRig(t testing.TB, allow func(netip.AddrPort) (netip.AddrPort, error)) *rig {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	tap := os.NewFile(uintptr(fds[0]), "tap")
	e, err := link.New(tap, false, 1500, outMAC)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{t: t, peer: fds[1], wire: &Wire{Link: e, MAC: inMAC}}
	r.net = &Net{Context: ctx, Allow: allow, IsDNS: func(netip.Addr) bool { return false },
		Gateway: func(netip.Addr) netip.Addr { return gateway }, Wire: func(netip.Addr) *Wire { return r.wire }}
	if r.s, err = stack.New(); err != nil {
		t.Fatal(err)
	}
	r.tcp = &TCP{Net: r.net}
	handler := r.tcp.Handler(r.s.Stack)
	r.s.SetTransportProtocolHandler(header.TCPProtocolNumber, func(id gstack.TransportEndpointID, pkt *gstack.PacketBuffer) bool { return handler(id, pkt) })
	if terr := r.s.Attach(1, e, []netip.Addr{gateway}, []netip.Addr{container}, inMAC); terr != nil {
		t.Fatal(terr)
	}
	served := make(chan struct{})
	go func() { e.Serve(); close(served) }()
	t.Cleanup(func() {
		cancel()
		tap.Close()
		<-served
		unix.Close(fds[1])
	})
	return r
}

// packet is an IPv4 packet of the container.
func packet(proto tcpip.TransportProtocolNumber, src, dst netip.Addr, payload []byte) []byte {
	b := make([]byte, frontSize+header.IPv4MinimumSize+len(payload))
	header.Ethernet(b[link.HeaderSize:]).Encode(&header.EthernetFields{SrcAddr: tcpip.LinkAddress(inMAC[:]), DstAddr: tcpip.LinkAddress(outMAC[:]), Type: header.IPv4ProtocolNumber})
	h := header.IPv4(b[frontSize:])
	h.Encode(&header.IPv4Fields{TotalLength: uint16(header.IPv4MinimumSize + len(payload)), TTL: 64, Protocol: uint8(proto),
		SrcAddr: tcpip.AddrFrom4(src.As4()), DstAddr: tcpip.AddrFrom4(dst.As4())})
	h.SetChecksum(^h.CalculateChecksum())
	copy(b[frontSize+header.IPv4MinimumSize:], payload)
	return b
}

// syn is the first segment of a connection.
func syn(from, to netip.AddrPort) []byte {
	b := make(header.TCP, header.TCPMinimumSize)
	b.Encode(&header.TCPFields{SrcPort: from.Port(), DstPort: to.Port(), SeqNum: uint32(from.Port()) << 8, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 65535})
	sum := header.PseudoHeaderChecksum(header.TCPProtocolNumber, tcpip.AddrFrom4(from.Addr().As4()), tcpip.AddrFrom4(to.Addr().As4()), uint16(len(b)))
	b.SetChecksum(^b.CalculateChecksum(sum))
	return packet(header.TCPProtocolNumber, from.Addr(), to.Addr(), b)
}

// datagram is a UDP header and its data.
func datagram(from, to uint16, data string) []byte {
	b := make(header.UDP, header.UDPMinimumSize+len(data))
	b.Encode(&header.UDPFields{SrcPort: from, DstPort: to, Length: uint16(len(b))})
	copy(b[header.UDPMinimumSize:], data)
	return b
}

// echo is an echo request.
func echo(id uint16) []byte {
	b := make([]byte, header.ICMPv4MinimumSize+4)
	b[0] = byte(header.ICMPv4Echo)
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[2:], ^checksum.Checksum(b, 0))
	return b
}

// send gives a frame to the device, which may be busy.
func (r *rig) send(frame []byte) {
	r.t.Helper()
	for {
		err := unix.Sendto(r.peer, frame, 0, nil)
		if err == nil {
			return
		}
		if err != unix.EAGAIN {
			r.t.Fatal(err)
		}
		r.drain()
		time.Sleep(time.Millisecond)
	}
}

// drain throws away what came.
func (r *rig) drain() {
	var b [70000]byte
	for {
		if _, _, err := unix.Recvfrom(r.peer, b[:], 0); err != nil {
			return
		}
	}
}

// await is the next IPv4 packet that is wanted; what hangs ends the test.
func (r *rig) await(want func(header.IPv4) bool) header.IPv4 {
	r.t.Helper()
	b := make([]byte, 70000)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		n, _, err := unix.Recvfrom(r.peer, b, 0)
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		if n < frontSize+header.IPv4MinimumSize {
			continue
		}
		if p := header.IPv4(b[frontSize:n]); p[0]>>4 == 4 && want(p) {
			return p
		}
	}
	r.t.Fatal("the packet does not come")
	return nil
}

// unreachable is a message that says so, with this code.
func unreachable(code header.ICMPv4Code) func(header.IPv4) bool {
	return func(p header.IPv4) bool {
		if p.TransportProtocol() != header.ICMPv4ProtocolNumber {
			return false
		}
		m := header.ICMPv4(p.Payload())
		return m.Type() == header.ICMPv4DstUnreachable && m.Code() == code
	}
}

func to(a netip.AddrPort) func(netip.AddrPort) (netip.AddrPort, error) {
	return func(netip.AddrPort) (netip.AddrPort, error) { return a, nil }
}

func refuse(err error) func(netip.AddrPort) (netip.AddrPort, error) {
	return func(a netip.AddrPort) (netip.AddrPort, error) { return a, err }
}
