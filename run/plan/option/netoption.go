package option

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

func optionsOf(mode string) string {
	if mode == NetNamed {
		return "ip, ip6, mac and alias"
	}
	return "mtu, cidr, allow_host_loopback, allow_link_local and ipv6"
}

func (o *Slirp) read(options []string) (why string) {
	for _, field := range options {
		key, value, _ := strings.Cut(field, "=")
		ok := true
		switch key {
		case "mtu":
			o.MTU, ok = number(value, 68, 65520) // the least of RFC 791; the most that leaves a frame below 64 KB
		case "cidr":
			if o.CIDR, why = subnet(value); why != "" {
				return why
			}
		case "allow_host_loopback":
			o.HostLoopback, ok = isBool(value)
		case "allow_link_local":
			o.LinkLocal, ok = isBool(value)
		case "ipv6", "enable_ipv6":
			o.IPv6, ok = onOff(value)
		case "outbound_addr", "outbound_addr6", "port_handler":
			return key + " is not supported"
		default:
			return "unknown option " + quote(key)
		}
		if !ok {
			return "invalid " + key + ": " + quote(value)
		}
	}
	if o.IPv6 == On && o.MTU != 0 && o.MTU < 1280 {
		return "IPv6 needs an mtu of at least 1280"
	}
	return ""
}

func (o *Own) read(options []string) (why string) {
	for _, field := range options {
		key, value, _ := strings.Cut(field, "=")
		var err error
		switch key {
		case "ip", "ip6":
			a, e := netip.ParseAddr(value)
			switch {
			case e != nil || a.Zone() != "":
				return "invalid IP address: " + quote(value)
			case a.Unmap().Is4():
				o.IP = a.Unmap()
			default:
				o.IP6 = a
			}
		case "mac", "mac-address":
			o.MAC, err = ParseMAC(value)
		case "alias":
			err = o.alias(value)
		case "link-local-ip", "driver-opt", "gw-priority", "interface_name":
			return key + " is not supported"
		default:
			return "unknown option " + quote(key)
		}
		if err != nil {
			return err.Error()
		}
	}
	return ""
}

func (o *Own) alias(s string) error {
	if why := hostnameFault(s, 253); why != "" {
		return bad("network alias", s, "use letters, digits, - and .", why)
	}
	o.Aliases = append(o.Aliases, s)
	return nil
}

// subnet reads a network that holds a gateway, a name server and a container at
// .2, .3 and .100.
func subnet(s string) (p netip.Prefix, why string) {
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil || !p.Addr().Is4():
		return netip.Prefix{}, "invalid cidr: " + quote(s) + " is no IPv4 subnet"
	case p != p.Masked():
		return netip.Prefix{}, "invalid cidr: the subnet of " + quote(s) + " is " + p.Masked().String()
	case p.Bits() < 8 || p.Bits() > 25:
		return netip.Prefix{}, "invalid cidr: " + quote(s) + " has to be /8 to /25"
	case p.Addr().IsLoopback() || p.Addr().As4()[0] == 0 || p.Addr().As4()[0] >= 224 || p.Overlaps(netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254}), 16)):
		return netip.Prefix{}, "invalid cidr: " + quote(s) + " is not for containers"
	}
	return p, ""
}

func number(s string, low, high int) (int, bool) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, false
	}
	return n, true
}

func onOff(s string) (string, bool) {
	switch s {
	case "auto":
		return "", true
	case On, Off:
		return s, true
	}
	v, ok := isBool(s)
	if v {
		return On, ok
	}
	return Off, ok
}

// ParseAlias checks --network-alias: a name as DNS has them.
func ParseAlias(s string) (string, error) {
	var o Own
	if err := o.alias(s); err != nil {
		return "", err
	}
	return s, nil
}

// ParseIP4 reads --ip.
func ParseIP4(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return netip.Addr{}, bad("address", s, "write one as in 10.89.0.5", "invalid IPv4 address")
	}
	return a, nil
}

// ParseIP6 reads --ip6.
func ParseIP6(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() || a.Is4In6() || a.Zone() != "" {
		return netip.Addr{}, bad("address", s, "write one as in fd00:89::5", "invalid IPv6 address")
	}
	return a, nil
}

// ParseMAC reads --mac-address: six bytes, not of a group (the kernel refuses
// those for an interface) and not all zero.
func ParseMAC(s string) (mac [6]byte, err error) {
	b, err := net.ParseMAC(s)
	if err != nil || len(b) != len(mac) || b[0]&1 != 0 || [6]byte(b) == mac {
		return mac, bad("MAC address", s, "write one as in 02:42:ac:11:00:02, the first byte even", "invalid MAC address")
	}
	return [6]byte(b), nil
}
