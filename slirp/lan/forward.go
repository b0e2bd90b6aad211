package lan

import (
	"encoding/binary"
	"net/netip"
)

// A frame as it is read from a tap device.
const (
	vnetSize = 10                 // virtio_net_hdr
	ethSize  = 14                 // destination, source, type
	headSize = vnetSize + ethSize // what Forward's head has

	typeIPv4 = 0x0800
	typeARP  = 0x0806
	typeIPv6 = 0x86dd
)

// Forward takes a frame that the container sent. head is its first 24 bytes, the
// virtio_net header and the ethernet header, body the rest; both are only valid
// during the call. True: the frame was for another member, or was answered, or had a
// false source; there is nothing more to do. False: it is the stack's.
//
// A frame for a member whose device is full is dropped, as by a switch. Forward
// neither allocates nor locks.
func (l *LAN) Forward(head, body []byte) bool {
	if len(head) != headSize {
		return false
	}
	dst, src, typ := head[vnetSize:vnetSize+6], head[vnetSize+6:vnetSize+12], binary.BigEndian.Uint16(head[vnetSize+12:])
	if [6]byte(src) != l.self.MAC {
		return true
	}
	t := l.table.Load()
	if typ == typeARP {
		return l.arp(t, dst, body)
	}
	peer := t.mac[key(dst)]
	switch typ {
	case typeIPv4:
		if len(body) < 20 || body[0]>>4 != 4 || [4]byte(body[12:16]) != l.self.ip4() {
			return true
		}
	case typeIPv6:
		if len(body) < 40 || body[0]>>4 != 6 {
			return true
		}
		own := l.self.IP6.IsValid() && [16]byte(body[8:24]) == l.self.IP6.As16()
		if !own && !local(body[8:24]) {
			return true
		}
		if len(body) >= 64 && body[6] == protoICMPv6 && body[40] == neighborSolicitation && l.solicitation(t, body) {
			return true
		}
		if peer != nil && !own { // link-local addresses are no members'
			return true
		}
	default:
		return peer != nil
	}
	if peer == nil {
		return false
	}
	if peer.tap.use() {
		write(peer.tap.fd, head, body) // EAGAIN, or a device that is down: the frame is lost
		peer.tap.done()
	}
	return true
}

// ip4 is the member's IPv4 address; without one, an address that no packet comes from.
func (m *Member) ip4() [4]byte {
	if !m.IP4.IsValid() {
		return [4]byte{255, 255, 255, 255}
	}
	return m.IP4.As4()
}

// local tells whether an IPv6 source may be seen on a link without being assigned:
// a link-local address, or none during duplicate address detection.
func local(a []byte) bool {
	return a[0] == 0xfe && a[1]&0xc0 == 0x80 || [16]byte(a) == [16]byte{}
}

func addr4(b []byte) netip.Addr  { return netip.AddrFrom4([4]byte(b)) }
func addr16(b []byte) netip.Addr { return netip.AddrFrom16([16]byte(b)) }
