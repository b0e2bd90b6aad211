package link

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Packet is an IP packet that is not TCP's, nor IPv6 with extension headers other
// than a fragment's.
type Packet struct {
	Protocol  tcpip.NetworkProtocolNumber
	Data      []byte // from the IP header on; the reader's memory
	Src, Dst  netip.Addr
	Transport tcpip.TransportProtocolNumber
	Payload   []byte // from the transport header on
	Fragment  bool   // a part only: Payload is nothing
}

// parse reads the IP header, which acceptable has checked. It tells whether p is
// such a packet.
func (p *Packet) parse() bool {
	switch p.Protocol {
	case header.IPv4ProtocolNumber:
		h := header.IPv4(p.Data)
		p.Transport = h.TransportProtocol()
		p.Fragment = h.More() || h.FragmentOffset() != 0
		p.Src, p.Dst = netip.AddrFrom4([4]byte(p.Data[12:16])), netip.AddrFrom4([4]byte(p.Data[16:20]))
		p.Payload = p.Data[h.HeaderLength():h.TotalLength()]
	case header.IPv6ProtocolNumber:
		h := header.IPv6(p.Data)
		p.Transport = h.TransportProtocol()
		p.Src, p.Dst = netip.AddrFrom16([16]byte(p.Data[8:24])), netip.AddrFrom16([16]byte(p.Data[24:40]))
		p.Payload = p.Data[header.IPv6MinimumSize : header.IPv6MinimumSize+int(h.PayloadLength())]
		if p.Transport == header.IPv6FragmentHeader && len(p.Payload) >= header.IPv6FragmentHeaderSize {
			p.Transport, p.Fragment = tcpip.TransportProtocolNumber(p.Payload[0]), true
		}
	}
	switch p.Transport {
	case header.UDPProtocolNumber, header.ICMPv4ProtocolNumber, header.ICMPv6ProtocolNumber:
		return true
	}
	return false
}

// acceptable checks what a kernel would have checked on the way: lengths, the
// header's checksum, and the transport's where the container's kernel did not
// leave it to us. The stack believes that all this was done.
func (e *Endpoint) acceptable(hdr *vnet, proto tcpip.NetworkProtocolNumber, b []byte) bool {
	var transport uint8
	var payload []byte
	var pseudo uint16
	switch proto {
	case header.ARPProtocolNumber:
		return true
	case header.IPv4ProtocolNumber:
		h := header.IPv4(b)
		if !h.IsValid(len(b)) || !h.IsChecksumValid() {
			return false
		}
		if h.More() || h.FragmentOffset() != 0 {
			return true // reassembled by the stack
		}
		transport, payload = h.Protocol(), b[h.HeaderLength():h.TotalLength()]
		pseudo = checksum.Checksum(b[12:20], 0)
	case header.IPv6ProtocolNumber:
		h := header.IPv6(b)
		if !h.IsValid(len(b)) {
			return false
		}
		transport, payload = h.NextHeader(), b[header.IPv6MinimumSize:header.IPv6MinimumSize+int(h.PayloadLength())]
		pseudo = checksum.Checksum(b[8:40], 0)
	default:
		return false
	}
	switch tcpip.TransportProtocolNumber(transport) {
	case header.TCPProtocolNumber:
		if len(payload) < header.TCPMinimumSize {
			return false
		}
	case header.UDPProtocolNumber:
		if len(payload) < header.UDPMinimumSize {
			return false
		}
		if n := int(binary.BigEndian.Uint16(payload[4:])); n < header.UDPMinimumSize || n > len(payload) {
			return false
		}
		if proto == header.IPv4ProtocolNumber && payload[6] == 0 && payload[7] == 0 {
			return true // the sender made none
		}
	case header.ICMPv6ProtocolNumber:
		hdr = &vnet{} // never left undone
	default:
		return true
	}
	if hdr.checked() {
		return true
	}
	var rest [4]byte
	binary.BigEndian.PutUint16(rest[:], uint16(len(payload)))
	rest[3] = transport
	return checksum.Checksum(payload, checksum.Checksum(rest[:], pseudo)) == 0xffff
}
