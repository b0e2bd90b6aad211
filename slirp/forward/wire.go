package forward

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"rl/slirp/link"
)

// Wire is the way back into the container over one of its devices, for packets
// that are not the stack's.
type Wire struct {
	Link *link.Endpoint
	MAC  [6]byte // the container's
	ids  atomic.Uint32
}

const (
	ttl         = 64
	udpChecksum = 6 // its offset
	maxHeaders  = header.IPv6MinimumSize + header.IPv6FragmentHeaderSize + header.UDPMinimumSize
)

// UDP sends a datagram, in fragments where the device's MTU demands it.
func (w *Wire) UDP(src, dst netip.AddrPort, data []byte) {
	var buf [maxHeaders]byte
	ipLen := ipHeader(dst.Addr())
	udp := header.UDP(buf[ipLen : ipLen+header.UDPMinimumSize])
	length := header.UDPMinimumSize + len(data)
	if length > 65535-ipLen {
		return
	}
	udp.Encode(&header.UDPFields{SrcPort: src.Port(), DstPort: dst.Port(), Length: uint16(length)})
	pseudo := header.PseudoHeaderChecksum(header.UDPProtocolNumber, tcpip.AddrFromSlice(src.Addr().AsSlice()), tcpip.AddrFromSlice(dst.Addr().AsSlice()), uint16(length))
	if ipLen+length > int(w.Link.MTU()) {
		sum := ^udp.CalculateChecksum(checksum.Checksum(data, pseudo))
		if sum == 0 {
			sum = 0xffff
		}
		udp.SetChecksum(sum)
		w.fragments(src.Addr(), dst.Addr(), header.UDPProtocolNumber, append(udp[:len(udp):len(udp)], data...))
		return
	}
	udp.SetChecksum(pseudo)
	w.ip(buf[:ipLen], src.Addr(), dst.Addr(), header.UDPProtocolNumber, length, 0, 0)
	w.Link.Send(protocol(dst.Addr()), tcpip.LinkAddress(w.MAC[:]), buf[:ipLen+header.UDPMinimumSize], data, ipLen, udpChecksum)
}

// ICMP sends a message of ICMP or ICMPv6, whose checksum is computed here.
func (w *Wire) ICMP(src, dst netip.Addr, msg []byte) {
	proto := header.ICMPv4ProtocolNumber
	var sum uint16
	if !dst.Is4() {
		proto = header.ICMPv6ProtocolNumber
		sum = header.PseudoHeaderChecksum(proto, tcpip.AddrFromSlice(src.AsSlice()), tcpip.AddrFromSlice(dst.AsSlice()), uint16(len(msg)))
	}
	msg[2], msg[3] = 0, 0
	binary.BigEndian.PutUint16(msg[2:], ^checksum.Checksum(msg, sum))
	ipLen := ipHeader(dst)
	if ipLen+len(msg) > int(w.Link.MTU()) {
		w.fragments(src, dst, proto, msg)
		return
	}
	var buf [header.IPv6MinimumSize]byte
	w.ip(buf[:ipLen], src, dst, proto, len(msg), 0, 0)
	w.Link.Send(protocol(dst), tcpip.LinkAddress(w.MAC[:]), buf[:ipLen], msg, 0, 0)
}

// fragments sends an IP payload that is larger than the MTU.
func (w *Wire) fragments(src, dst netip.Addr, proto tcpip.TransportProtocolNumber, payload []byte) {
	id := w.ids.Add(1)
	ipLen := ipHeader(dst)
	room := int(w.Link.MTU()) - ipLen
	if !dst.Is4() {
		room -= header.IPv6FragmentHeaderSize
	}
	room &^= 7
	if room <= 0 {
		return
	}
	for offset := 0; offset < len(payload); offset += room {
		part := payload[offset:min(offset+room, len(payload))]
		more := offset+len(part) < len(payload)
		var buf [maxHeaders]byte
		n := ipLen
		if dst.Is4() {
			flags := uint8(0)
			if more {
				flags = header.IPv4FlagMoreFragments
			}
			w.v4(buf[:n], src, dst, proto, len(part), flags, uint16(offset), uint16(id))
		} else {
			n += header.IPv6FragmentHeaderSize
			w.ip(buf[:ipLen], src, dst, header.IPv6FragmentHeader, len(part)+header.IPv6FragmentHeaderSize, 0, 0)
			f := buf[ipLen:]
			f[0] = byte(proto)
			at := uint16(offset)
			if more {
				at |= 1
			}
			binary.BigEndian.PutUint16(f[2:], at)
			binary.BigEndian.PutUint32(f[4:], id)
		}
		w.Link.Send(protocol(dst), tcpip.LinkAddress(w.MAC[:]), buf[:n], part, 0, 0)
	}
}

// ip writes an IP header for a payload of n bytes.
func (w *Wire) ip(b []byte, src, dst netip.Addr, proto tcpip.TransportProtocolNumber, n int, flags uint8, offset uint16) {
	if dst.Is4() {
		w.v4(b, src, dst, proto, n, flags, offset, uint16(w.ids.Add(1)))
		return
	}
	header.IPv6(b).Encode(&header.IPv6Fields{PayloadLength: uint16(n), TransportProtocol: proto, HopLimit: ttl,
		SrcAddr: tcpip.AddrFrom16(src.As16()), DstAddr: tcpip.AddrFrom16(dst.As16())})
}

func (w *Wire) v4(b []byte, src, dst netip.Addr, proto tcpip.TransportProtocolNumber, n int, flags uint8, offset, id uint16) {
	h := header.IPv4(b)
	h.Encode(&header.IPv4Fields{TotalLength: uint16(header.IPv4MinimumSize + n), ID: id, Flags: flags, FragmentOffset: offset,
		TTL: ttl, Protocol: uint8(proto), SrcAddr: tcpip.AddrFrom4(src.As4()), DstAddr: tcpip.AddrFrom4(dst.As4())})
	h.SetChecksum(^h.CalculateChecksum())
}

// Unreachable tells the container that dst cannot be reached: why, and of which
// packet (its first bytes from the transport header on). via is who says so.
func (w *Wire) Unreachable(via, src, dst netip.Addr, proto tcpip.TransportProtocolNumber, l4 []byte, why Why) {
	l4 = l4[:min(len(l4), 8)]
	ipLen := ipHeader(src)
	msg := make([]byte, 8+ipLen+len(l4))
	if src.Is4() {
		msg[0] = byte(header.ICMPv4DstUnreachable)
		msg[1] = byte([...]header.ICMPv4Code{refused: header.ICMPv4PortUnreachable, NoHost: header.ICMPv4HostUnreachable,
			NoNetwork: header.ICMPv4NetUnreachable, Prohibited: header.ICMPv4AdminProhibited}[why])
	} else {
		msg[0] = byte(header.ICMPv6DstUnreachable)
		msg[1] = byte([...]header.ICMPv6Code{refused: header.ICMPv6PortUnreachable, NoHost: header.ICMPv6AddressUnreachable,
			NoNetwork: header.ICMPv6NetworkUnreachable, Prohibited: header.ICMPv6Prohibited}[why])
	}
	w.ip(msg[8:8+ipLen], src, dst, proto, len(l4), 0, 0)
	copy(msg[8+ipLen:], l4)
	if !via.IsValid() || via.Is4() != src.Is4() {
		via = dst
	}
	w.ICMP(via, src, msg)
}

func ipHeader(a netip.Addr) int {
	if a.Is4() {
		return header.IPv4MinimumSize
	}
	return header.IPv6MinimumSize
}

func protocol(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}
