package network

import (
	"bufio"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"rl/userns/sys/fault"
)

// validName is docker's rule, and keeps a name from being anything but a file's.
func validName(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("_.-", rune(c))) {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func checkSubnet(p netip.Prefix) error {
	bad := func(hint, why string) error { return fault.New(hint, "bad subnet %s: %s", p, why) }
	a := p.Addr()
	switch {
	case p != p.Masked():
		return bad("give "+p.Masked().String(), "there are bits beyond its length")
	case a.Is4In6():
		return bad("write it as IPv4", "an IPv4 address in IPv6's clothes")
	case a.IsMulticast() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240):
		return bad("give one of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or fd00::/8", "its addresses cannot be a container's")
	case a.Is4() && (p.Bits() < 8 || p.Bits() > 30):
		return bad("give a /24", "a length of 8 to 30 has room for containers")
	case a.Is6() && (p.Bits() < 8 || p.Bits() > 124):
		return bad("give a /64", "a length of 8 to 124 has room for containers")
	}
	return nil
}

// pools are where subnets of /24 are looked for: podman's pool first, then the
// rest of what is private.
var pools = [][2]string{{"10.89.0.0", "10.255.255.0"}, {"172.20.0.0", "172.31.255.0"}, {"192.168.0.0", "192.168.255.0"}}

// free is the first /24 that overlaps with none of taken; invalid when there is none.
func free(taken []netip.Prefix) netip.Prefix {
	for _, pool := range pools {
		next, last := uint64(number4(netip.MustParseAddr(pool[0]))), uint64(number4(netip.MustParseAddr(pool[1])))
	candidates:
		for next <= last {
			p := netip.PrefixFrom(addr4(uint32(next)), 24)
			for _, t := range taken {
				if t.Addr().Is4() && p.Overlaps(t) {
					// On to behind it: a pool that one route covers is over at once.
					end := uint64(number4(t.Masked().Addr()) | ^uint32(0)>>t.Bits())
					next = max(next, end)&^255 + 256
					continue candidates
				}
			}
			return p
		}
	}
	return netip.Prefix{}
}

func number4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// local6 makes up a unique local subnet (RFC 4193, 3.2.2).
func local6() netip.Prefix {
	var b [16]byte
	rand.Read(b[1:6])
	b[0] = 0xfd
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// usable tells whether a host can have an address: it is in the subnet, and neither its
// first nor, of IPv4, its last.
func usable(p netip.Prefix, a netip.Addr) bool {
	if !p.IsValid() || !p.Contains(a) || a == p.Addr() {
		return false
	}
	return a.Is6() || p.Contains(a.Next())
}

// HostRoutes are the networks that the host has a route to, by IPv4. Default routes
// are left out, also those in halves that VPNs make.
func HostRoutes() ([]netip.Prefix, error) {
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseRoutes(f)
}

// parseRoutes reads /proc/net/route: iface, destination, gateway, flags, refcnt, use,
// metric, mask, …; addresses are numbers of the machine's byte order.
func parseRoutes(r io.Reader) (list []netip.Prefix, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 8 {
			continue
		}
		dst, e1 := strconv.ParseUint(f[1], 16, 32)
		mask, e2 := strconv.ParseUint(f[7], 16, 32)
		if e1 != nil || e2 != nil {
			continue // the heading
		}
		var d, m [4]byte
		binary.NativeEndian.PutUint32(d[:], uint32(dst))
		binary.NativeEndian.PutUint32(m[:], uint32(mask))
		bits := 0
		for n := binary.BigEndian.Uint32(m[:]); n&(1<<31) != 0; n <<= 1 {
			bits++
		}
		if bits > 1 {
			list = append(list, netip.PrefixFrom(netip.AddrFrom4(d), bits))
		}
	}
	return list, lines.Err()
}
