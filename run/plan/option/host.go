package option

import (
	"net/netip"
	"strings"
)

// HostGateway stands for the address at which the container reaches the host.
const HostGateway = "host-gateway"

// AddHost is --add-host: a line of /etc/hosts.
type AddHost struct {
	Name string
	IP   string // as written, without brackets; or HostGateway
}

// ParseAddHost reads NAME:IP or NAME=IP; an IPv6 address may stand in brackets.
func ParseAddHost(s string) (AddHost, error) {
	const kind = "host"
	const hint = "write NAME:ADDRESS, as in db:10.0.0.5, or NAME:host-gateway"
	name, ip, ok := strings.Cut(s, "=")
	if !ok {
		name, ip, ok = strings.Cut(s, ":")
	}
	if !ok || name == "" {
		return AddHost{}, bad(kind, s, hint, "no name and address")
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c == 0x7f || c == '#' || c == ':' || c == ';' {
			return AddHost{}, bad(kind, s, hint, quote(name), " is not a name for a host")
		}
	}
	if ip == HostGateway {
		return AddHost{name, ip}, nil
	}
	if len(ip) > 2 && ip[0] == '[' && ip[len(ip)-1] == ']' {
		ip = ip[1 : len(ip)-1]
	}
	if !isIP(ip) {
		return AddHost{}, bad(kind, s, hint, quote(ip), " is not an IP address")
	}
	return AddHost{name, ip}, nil
}

// ParseDNS reads --dns: the address of a name server, in canonical form.
func ParseDNS(s string) (string, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil || strings.IndexFunc(a.Zone(), func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0 {
		return "", bad("name server", s, "write an IP address, as in 1.1.1.1", "not an IP address")
	}
	return a.String(), nil
}

// ParseDNSSearch reads --dns-search: a domain, or "." for none.
func ParseDNSSearch(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "." {
		return s, nil
	}
	if why := hostnameFault(strings.TrimSuffix(s, "."), 254); why != "" {
		return "", bad("search domain", s, "write a domain, as in example.com, or . for none", why)
	}
	return strings.TrimSuffix(s, "."), nil
}

func isIP(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Zone() == ""
}

// ParseHostname checks --hostname: at most 64 bytes (sethostname(2)), words of
// letters, digits, - and _ between dots, no word beginning or ending with -.
func ParseHostname(s string) (string, error) {
	if why := hostnameFault(s, 64); why != "" {
		return "", bad("hostname", s, "use letters, digits, - and ., at most 64 of them", why)
	}
	return s, nil
}

func hostnameFault(s string, longest int) string {
	if len(s) > longest {
		return "too long"
	}
	for _, word := range strings.Split(s, ".") {
		if word == "" {
			return "an empty name, or nothing beside a dot"
		}
		for i := 0; i < len(word); i++ {
			if c := word[i]; !isAlnum(c) && c != '-' && c != '_' {
				return "a hostname cannot have " + quote(word[i:i+1])
			}
		}
		if word[0] == '-' || word[len(word)-1] == '-' {
			return "a - at the beginning or end of " + quote(word)
		}
	}
	return ""
}
