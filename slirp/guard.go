package slirp

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"rl/slirp/forward"
)

// guard decides where a container's packets may go.
type guard struct {
	own          []netip.Prefix // subnets of the container's devices
	gateways     []netip.Addr
	hostLoopback bool
	linkLocal    bool
	internal     bool // no device leads out
}

func newGuard(c *Config, devices []*device) *guard {
	g := &guard{hostLoopback: c.HostLoopback, linkLocal: c.LinkLocal}
	for _, i := range devices {
		for _, p := range i.Addrs {
			g.own = append(g.own, p.Masked())
		}
		g.gateways = append(g.gateways, i.Gateways...)
	}
	g.internal = len(g.gateways) == 0
	return g
}

// allow gives the host's address for one that the container asks for, or the
// reason why there is none.
func (g *guard) allow(to netip.AddrPort) (netip.AddrPort, error) {
	a := to.Addr()
	for _, gw := range g.gateways {
		if a != gw {
			continue
		}
		switch {
		case !g.hostLoopback || g.internal:
			return to, forward.ErrRefused
		case a.Is4():
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), to.Port()), nil
		default:
			return netip.AddrPortFrom(netip.IPv6Loopback(), to.Port()), nil
		}
	}
	for _, p := range g.own {
		if p.Contains(a) {
			return to, unix.EHOSTUNREACH // a member that is not there
		}
	}
	if g.internal {
		return to, unix.ENETUNREACH
	}
	if g.forbidden(a) {
		return to, forward.ErrProhibited
	}
	for v4 := range embedded(a) {
		if g.forbidden(v4) {
			return to, forward.ErrProhibited
		}
	}
	return to, nil
}

// forbidden are the host's own and what only the host is meant to reach.
func (g *guard) forbidden(a netip.Addr) bool {
	if a.Is4In6() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
		return true
	}
	if a.Is4() {
		if b := a.As4()[0]; b == 0 || b >= 240 { // "this network", reserved and broadcast
			return true
		}
	}
	if g.linkLocal {
		return false
	}
	if a.IsLinkLocalUnicast() {
		return true
	}
	for _, m := range metadata {
		if a == m {
			return true
		}
	}
	return false
}

// metadata are the addresses at which clouds give a machine its secrets, beside
// 169.254.169.254 and what else is link-local.
var metadata = [...]netip.Addr{
	netip.AddrFrom4([4]byte{100, 100, 100, 200}),                              // Alibaba
	netip.AddrFrom4([4]byte{192, 0, 0, 192}),                                  // Oracle
	netip.AddrFrom4([4]byte{168, 63, 129, 16}),                                // Azure
	netip.AddrFrom16([16]byte{0: 0xfd, 2: 0x0e, 3: 0xc2, 14: 0x02, 15: 0x54}), // Amazon: fd00:ec2::254
	netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x20, 3: 0xce, 15: 0x54, 14: 0x02}), // Google: fd20:ce::254
}

// embedded gives the IPv4 addresses that an IPv6 address stands for to somebody on
// the way: a translator would go there for us.
func embedded(a netip.Addr) func(yield func(netip.Addr) bool) {
	return func(yield func(netip.Addr) bool) {
		if !a.Is6() {
			return
		}
		b := a.As16()
		last := netip.AddrFrom4([4]byte(b[12:]))
		switch {
		case [12]byte(b[:12]) == [12]byte{}, // IPv4-compatible, RFC 4291 2.5.5.1
			[12]byte(b[:12]) == [12]byte{0: 0x00, 1: 0x64, 2: 0xff, 3: 0x9b}, // NAT64, RFC 6052
			[12]byte(b[:12]) == [12]byte{8: 0xff, 9: 0xff}:                   // translated, RFC 2765
			yield(last)
		case b[0] == 0x00 && b[1] == 0x64 && b[2] == 0xff && b[3] == 0x9b && b[4] == 0 && b[5] == 1: // local NAT64, RFC 8215: any length
			_ = yield(last) && yield(netip.AddrFrom4([4]byte{b[6], b[7], b[9], b[10]}))
		case b[0] == 0x20 && b[1] == 0x02: // 6to4, RFC 3056
			yield(netip.AddrFrom4([4]byte(b[2:6])))
		case b[0] == 0x20 && b[1] == 0x01 && b[2] == 0 && b[3] == 0: // Teredo, RFC 4380
			yield(netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]}))
		case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe: // ISATAP, RFC 5214
			yield(last)
		}
	}
}
