package run

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"rl/run/plan"
)

const resolvConf = "/etc/resolv.conf"

// netFacts gathers what the network's plan must know of the host.
func (p *preparation) netFacts() *plan.NetFacts {
	host, _ := os.Hostname()
	h := &plan.NetFacts{Rung: p.network, ID: p.rec.ID, Hostname: host, Resolv: resolvConf}
	if p.network == "host" || p.network == "none" || p.network == "container" {
		return h
	}
	h.Routes, _ = os.ReadFile("/proc/net/route")
	h.Routes6, _ = os.ReadFile("/proc/net/ipv6_route")
	for _, outside := range []unix.Sockaddr{
		&unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 1}},
		&unix.SockaddrInet6{Port: 9, Addr: [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}},
	} {
		if a := sourceFor(outside); a.IsGlobalUnicast() {
			h.Addrs = append(h.Addrs, a)
		}
	}
	return h
}

// sourceFor is the address from which the host would send to another: one at
// which the host itself can be reached. Connecting a datagram socket asks the
// kernel's routes and sends nothing.
func sourceFor(to unix.Sockaddr) netip.Addr {
	family := unix.AF_INET
	if _, six := to.(*unix.SockaddrInet6); six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}
	}
	defer unix.Close(fd)
	if unix.Connect(fd, to) != nil {
		return netip.Addr{}
	}
	self, err := unix.Getsockname(fd)
	if err != nil {
		return netip.Addr{}
	}
	switch s := self.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(s.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(s.Addr)
	}
	return netip.Addr{}
}
