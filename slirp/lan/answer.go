package lan

import "encoding/binary"

// Address resolution is answered here, for the members that are known: what the
// container asks of everybody would otherwise have to be sent to everybody.

const (
	protoICMPv6           = 58
	neighborSolicitation  = 135
	neighborAdvertisement = 136
)

// arp takes a request (RFC 826, of ethernet and IPv4) and drops one with a false sender.
//
//	htype(2) ptype(2) hlen(1) plen(1) operation(2) sender mac(6) ip(4) target mac(6) ip(4)
func (l *LAN) arp(t *table, dst, body []byte) bool {
	if len(body) < 28 || [6]byte(body[:6]) != [6]byte{0, 1, 8, 0, 6, 4} {
		return true
	}
	// A sender of 0.0.0.0 probes whether an address is free.
	if [6]byte(body[8:14]) != l.self.MAC || [4]byte(body[14:18]) != l.self.ip4() && [4]byte(body[14:18]) != [4]byte{} {
		return true
	}
	p := t.ip[addr4(body[24:28])]
	if p == nil || body[6] != 0 || body[7] != 1 {
		return t.mac[key(dst)] != nil
	}
	var f [headSize + 28]byte
	l.address(f[:], p, typeARP)
	a := f[headSize:]
	copy(a, []byte{0, 1, 8, 0, 6, 4, 0, 2})
	copy(a[8:], p.MAC[:])
	copy(a[14:], body[24:28])
	copy(a[18:], body[8:18])
	l.reply(f[:])
	return true
}

// solicitation takes a neighbour solicitation (RFC 4861, 4.3) for a member's address.
//
//	IPv6(40) type(1) code(1) checksum(2) reserved(4) target(16) options
func (l *LAN) solicitation(t *table, body []byte) bool {
	p := t.ip[addr16(body[48:64])]
	if p == nil || body[7] != 255 || body[41] != 0 {
		return false
	}
	const size = 32 // with the option that has the link address
	var f [headSize + 40 + size]byte
	l.address(f[:], p, typeIPv6)
	ip, icmp := f[headSize:headSize+40], f[headSize+40:]
	ip[0], ip[5], ip[6], ip[7] = 6<<4, size, protoICMPv6, 255
	copy(ip[8:], body[48:64])
	copy(ip[24:], body[8:24])
	const solicited, override = 0x40, 0x20
	icmp[0], icmp[4] = neighborAdvertisement, solicited|override
	if [16]byte(body[8:24]) == [16]byte{} { // somebody is about to take the member's address: tell all nodes
		copy(ip[24:], []byte{0: 0xff, 1: 2, 15: 1})
		copy(f[vnetSize:], []byte{0x33, 0x33, 0, 0, 0, 1})
		icmp[4] = override
	}
	copy(icmp[8:], body[48:64])
	icmp[24], icmp[25] = 2, 1 // target link address, 8 bytes
	copy(icmp[26:], p.MAC[:])
	binary.BigEndian.PutUint16(icmp[2:], checksum(ip, icmp))
	l.reply(f[:])
	return true
}

// address writes the ethernet header of a frame from p to the container.
func (l *LAN) address(f []byte, p *peer, typ uint16) {
	copy(f[vnetSize:], l.self.MAC[:])
	copy(f[vnetSize+6:], p.MAC[:])
	binary.BigEndian.PutUint16(f[vnetSize+12:], typ)
}

// reply writes a frame to the container.
func (l *LAN) reply(f []byte) {
	if l.tap.use() {
		write(l.tap.fd, f[:headSize], f[headSize:])
		l.tap.done()
	}
}

// checksum is that of ICMPv6 (RFC 4443, 2.3): of the message and a pseudo header.
func checksum(ip, icmp []byte) uint16 {
	sum := uint32(len(icmp)) + protoICMPv6
	for _, b := range [2][]byte{ip[8:40], icmp} {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
