package plan

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"

	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

// subnets chooses the subnets of a default network. Where the host has a route
// into one, containers could not reach what is there, so another is taken.
func (n *Net) subnets(s *option.Slirp, h *NetFacts) (v4, v6 netip.Prefix, err error) {
	six := s.IPv6 == option.On || s.IPv6 == "" && s.IP6.IsValid()
	for _, a := range h.Addrs {
		six = six || a.Is6() && s.IPv6 == ""
	}
	switch {
	case s.IP6.IsValid() && s.IPv6 == option.Off:
		return v4, v6, fault.New("leave one of them away", "conflicting options: --ip6 and a network without IPv6")
	case s.MTU != 0 && s.MTU < 1280: // RFC 8200, 5
		if s.IP6.IsValid() {
			return v4, v6, fault.New("leave --ip6 away, or give the network an mtu of 1280 or more", "IPv6 needs an mtu of at least 1280")
		}
		six = false
	}
	if v4 = s.CIDR; !v4.IsValid() {
		taken := routes4(h.Routes)
		if v4 = firstFree(taken, candidates4); !v4.IsValid() {
			v4 = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 2, 0}), 24)
			n.Notices = append(n.Notices, "the host has routes into every subnet that rl would choose; "+v4.String()+" of them cannot be reached: --network slirp:cidr=SUBNET takes another")
		}
	}
	if six {
		if v6 = firstFree(routes6(h.Routes6), candidates6); !v6.IsValid() {
			v6 = ula(0)
		}
	}
	return v4, v6, nil
}

// candidates4 are slirp4netns' subnet and then others that are seldom used.
func candidates4(yield func(netip.Prefix) bool) {
	try := func(a, b, from, to byte) bool {
		for c := int(from); c <= int(to); c++ {
			if !yield(netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, byte(c), 0}), 24)) {
				return false
			}
		}
		return true
	}
	_ = try(10, 0, 2, 254) && try(172, 31, 0, 254) && try(192, 168, 2, 254)
}

func candidates6(yield func(netip.Prefix) bool) {
	for i := range 256 {
		if !yield(ula(uint16(i))) {
			return
		}
	}
}

// ula is fd00:0:0:i::/64.
func ula(i uint16) netip.Prefix {
	a := [16]byte{0: 0xfd}
	binary.BigEndian.PutUint16(a[6:], i)
	return netip.PrefixFrom(netip.AddrFrom16(a), 64)
}

func firstFree(taken []netip.Prefix, candidates func(func(netip.Prefix) bool)) netip.Prefix {
next:
	for c := range candidates {
		for _, t := range taken {
			if t.Overlaps(c) {
				continue next
			}
		}
		return c
	}
	return netip.Prefix{}
}

// Flags of a route in /proc/net/route and ipv6_route (linux/route.h).
const (
	routeUp     = 0x1
	routeReject = 0x200
)

// routes4 reads /proc/net/route: destination and mask are in the machine's byte
// order, which is little-endian wherever rl runs. A default route is no
// collision, and neither are the two halves of one that a VPN makes.
func routes4(table []byte) []netip.Prefix {
	var list []netip.Prefix
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		dst, err1 := strconv.ParseUint(f[1], 16, 32)
		flags, err2 := strconv.ParseUint(f[3], 16, 32)
		mask, err3 := strconv.ParseUint(f[7], 16, 32)
		if err1 != nil || err2 != nil || err3 != nil || flags&(routeUp|routeReject) != routeUp {
			continue
		}
		var a, m [4]byte
		binary.LittleEndian.PutUint32(a[:], uint32(dst))
		binary.LittleEndian.PutUint32(m[:], uint32(mask))
		bits := 0
		for v := binary.BigEndian.Uint32(m[:]); v&(1<<31) != 0; v <<= 1 {
			bits++
		}
		if bits > 1 {
			list = append(list, netip.PrefixFrom(netip.AddrFrom4(a), bits).Masked())
		}
	}
	return list
}

// routes6 reads /proc/net/ipv6_route. Routes of the loopback device and to
// multicast and link-local addresses overlap nothing of ours.
func routes6(table []byte) []netip.Prefix {
	var list []netip.Prefix
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 9 || len(f[0]) != 32 {
			continue
		}
		var a [16]byte
		bits, err1 := strconv.ParseUint(f[1], 16, 8)
		flags, err2 := strconv.ParseUint(f[8], 16, 32)
		if _, err := hex.Decode(a[:], []byte(f[0])); err != nil || err1 != nil || err2 != nil || bits > 128 || flags&(routeUp|routeReject) != routeUp {
			continue
		}
		if bits > 3 { // beyond a default route and 2000::/3
			list = append(list, netip.PrefixFrom(netip.AddrFrom16(a), int(bits)).Masked())
		}
	}
	return list
}

// nth is an address of a subnet by its number.
func nth(p netip.Prefix, n uint32) netip.Addr {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+n)
		return netip.AddrFrom4(b)
	}
	b := p.Addr().As16()
	binary.BigEndian.PutUint32(b[12:], binary.BigEndian.Uint32(b[12:])+n)
	return netip.AddrFrom16(b)
}

// free tells whether a container may have an address of a subnet: it is not the
// network's own, the gateway's, the name server's or the broadcast address.
func free(a netip.Addr, p netip.Prefix) bool {
	if !p.Contains(a) || a == p.Addr() || a == nth(p, 2) || a == nth(p, 3) {
		return false
	}
	return a.Is6() || a != nth(p, 1<<(32-p.Bits())-1)
}
