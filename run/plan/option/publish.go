package option

import (
	"net/netip"
	"strconv"
	"strings"
)

// Publish is one port of the container that is reached through a port of the
// host.
type Publish struct {
	Proto         string     // tcp or udp
	HostIP        netip.Addr // invalid: every address of the host, of both families
	HostPort      uint16     // 0: any that is free
	HostEnd       uint16     // beyond HostPort: the first free one from HostPort to it is taken; else HostPort
	ContainerPort uint16
}

// String is the port as it may stand behind -p.
func (p Publish) String() string {
	var b strings.Builder
	if p.HostIP.Is4() {
		b.WriteString(p.HostIP.String() + ":")
	} else if p.HostIP.IsValid() {
		b.WriteString("[" + p.HostIP.String() + "]:")
	}
	b.WriteString(strconv.Itoa(int(p.HostPort)))
	if p.HostEnd != p.HostPort {
		b.WriteString("-" + strconv.Itoa(int(p.HostEnd)))
	}
	b.WriteString(":" + strconv.Itoa(int(p.ContainerPort)) + "/" + p.Proto)
	return b.String()
}

// Port is a port of the container.
type Port struct {
	Proto string // tcp or udp
	Port  uint16
}

// ParsePublish reads -p: [[ip:][hostport]:]containerport[/tcp|/udp]. Ports may be
// ranges a-b: two of the same length are joined one by one, a range of the host
// before a single port means any of them that is free. Without a host port, or
// with 0, the host's kernel chooses. An IPv6 address stands in brackets.
func ParsePublish(s string) ([]Publish, error) {
	const kind = "published port"
	const hint = "write [IP:]HOSTPORT:PORT[/udp], as in 8080:80, 127.0.0.1:5353:53/udp or [::1]:8000-8010:8000-8010"
	rest, proto, why := cutProto(s)
	if why != "" {
		return nil, bad(kind, s, hint, why)
	}
	host, container := "", rest
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		host, container = rest[:i], rest[i+1:]
	}
	var ip netip.Addr
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		var ok bool
		if ip, ok = hostIP(host[:i]); !ok {
			return nil, bad(kind, s, hint, "invalid IP address: ", quote(host[:i]))
		}
		host = host[i+1:]
	}
	if container == "" {
		return nil, bad(kind, s, hint, "no port specified")
	}
	low, high, ok := portRange(container)
	if !ok || low == 0 {
		return nil, bad(kind, s, hint, "invalid containerPort: ", quote(container))
	}
	hostLow, hostHigh := 0, 0
	if host != "" {
		if hostLow, hostHigh, ok = portRange(host); !ok || hostLow == 0 && hostHigh != 0 {
			return nil, bad(kind, s, hint, "invalid hostPort: ", quote(host))
		}
	}
	n, m := high-low+1, hostHigh-hostLow+1
	if n > 1 && hostLow != 0 && n != m {
		return nil, bad(kind, s, hint, "invalid ranges specified for container and host Ports: ", quote(container), " and ", quote(host))
	}
	list := make([]Publish, n)
	for i := range list {
		p := Publish{proto, ip, uint16(hostLow), uint16(hostHigh), uint16(low + i)}
		if n > 1 && hostLow != 0 {
			p.HostPort += uint16(i)
			p.HostEnd = p.HostPort
		}
		list[i] = p
	}
	return list, nil
}

// ParseExpose reads --expose, and what an image exposes: port or range, and
// protocol.
func ParseExpose(s string) ([]Port, error) {
	const kind = "exposed port"
	const hint = "write PORT[/udp] or FIRST-LAST[/udp], as in 80 or 8000-8010/tcp"
	if strings.Contains(s, ":") {
		return nil, bad(kind, s, "a port of the host is given with -p", "invalid port format")
	}
	ports, proto, why := cutProto(s)
	if why != "" {
		return nil, bad(kind, s, hint, why)
	}
	low, high, ok := portRange(ports)
	if !ok || low == 0 {
		return nil, bad(kind, s, hint, "invalid range format")
	}
	list := make([]Port, high-low+1)
	for i := range list {
		list[i] = Port{proto, uint16(low + i)}
	}
	return list, nil
}

// ParsePort reads a single port of the container: 80, 53/udp.
func ParsePort(s string) (Port, error) {
	list, err := ParseExpose(s)
	if err == nil && len(list) > 1 {
		err = bad("port", s, "write PORT[/udp], as in 80", "one port, not a range")
	}
	if err != nil {
		return Port{}, err
	}
	return list[0], nil
}

// cutProto takes the protocol off; tcp where there is none.
func cutProto(s string) (rest, proto, why string) {
	rest, proto, has := strings.Cut(s, "/")
	switch proto = strings.ToLower(proto); {
	case !has:
		return rest, "tcp", ""
	case proto == "tcp", proto == "udp":
		return rest, proto, ""
	case proto == "sctp":
		return "", "", "sctp is not supported, tcp and udp are"
	}
	return "", "", "invalid proto: " + quote(proto)
}

// hostIP reads an address of the host; "" is all of them.
func hostIP(s string) (netip.Addr, bool) {
	if s == "" {
		return netip.Addr{}, true
	}
	bare := s
	if len(s) > 2 && s[0] == '[' && s[len(s)-1] == ']' {
		bare = s[1 : len(s)-1]
	}
	ip, err := netip.ParseAddr(bare)
	if err != nil || ip.Zone() != "" || ip.Is6() != (bare != s) {
		return netip.Addr{}, false
	}
	return ip.Unmap(), true
}

// portRange reads "80" or "80-90".
func portRange(s string) (low, high int, ok bool) {
	first, last, isRange := strings.Cut(s, "-")
	low, ok = portNumber(first)
	if !ok || !isRange {
		return low, low, ok
	}
	high, ok = portNumber(last)
	return low, high, ok && low <= high
}

func portNumber(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err == nil
}
