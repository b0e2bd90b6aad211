package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"rl/run/plan/option"
	"rl/slirp"
)

// hostNames are what podman and docker call the host.
var hostNames = [...]string{"host.containers.internal", "host.docker.internal"}

// hosts tells the relay of names what stands in the hosts file, too.
func (n *Net) tellNames(f *Flags) {
	add := func(name string, addrs ...netip.Addr) {
		list := n.Config.Hosts
		for i := range list {
			if strings.EqualFold(list[i].Name, name) {
				list[i].Addrs = append(list[i].Addrs, addrs...)
				return
			}
		}
		n.Config.Hosts = append(list, slirp.Host{Name: name, Addrs: slices.Clone(addrs)})
	}
	for _, a := range f.AddHosts {
		switch ip, err := netip.ParseAddr(a.IP); {
		case err == nil:
			add(a.Name, ip.Unmap())
		case len(n.gateway) > 0:
			add(a.Name, n.gateway...)
		default:
			n.Notices = append(n.Notices, "--add-host "+a.Name+":host-gateway is left out: the host has no address for this container; --network slirp:allow_host_loopback=true gives it one")
		}
	}
	for _, name := range n.names {
		add(name, n.addrs...)
	}
}

// shared is the container whose network this one uses, or nil.
func (n *Net) shared() *Other {
	if n == nil {
		return nil
	}
	return n.other
}

// servers are the name servers that take the place of the host's.
func (n *Net) servers() []netip.Addr {
	if n == nil {
		return nil
	}
	return n.resolvers
}

// resolv is the host's resolv.conf with what was asked in place of its own, and
// with the relay in place of its name servers, which the container may not reach.
func resolv(f *Flags, h *Facts) string {
	if o := h.Net.shared(); o != nil {
		return string(o.Resolv)
	}
	servers := f.DNS
	for _, a := range h.Net.servers() {
		if len(f.DNS) == 0 {
			servers = append(servers, a.String())
		}
	}
	var b strings.Builder
	for line := range strings.Lines(string(h.Resolv)) {
		word, _, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
		switch {
		case word == "nameserver" && len(servers) > 0,
			len(servers) > 0 && (strings.HasPrefix(word, "#") || strings.HasPrefix(word, ";")), // of the host's own
			(word == "search" || word == "domain") && len(f.Search) > 0,
			word == "options" && len(f.DNSOpts) > 0:
			continue
		}
		b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
	}
	if len(f.Search) > 0 && !slices.Equal(f.Search, []string{"."}) {
		fmt.Fprintf(&b, "search %s\n", strings.Join(f.Search, " "))
	}
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(f.DNSOpts) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(f.DNSOpts, " "))
	}
	return b.String()
}

// hosts begins with the host's names where the network is the host's, and names
// the container's own addresses where it has some.
func hosts(hostname string, f *Flags, h *Facts) string {
	if o := h.Net.shared(); o != nil {
		return string(o.Hosts)
	}
	var b strings.Builder
	if h.Network == "host" && len(h.Hosts) > 0 {
		b.Write(h.Hosts)
		if !strings.HasSuffix(b.String(), "\n") {
			b.WriteByte('\n')
		}
	} else {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	}
	gateway := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})} // with the host's network this is the host
	if h.Net != nil && h.Net.Config != nil {
		gateway = h.Net.gateway
	}
	said := map[string]bool{}
	for _, a := range f.AddHosts {
		said[strings.ToLower(a.Name)] = true
		if a.IP != option.HostGateway {
			fmt.Fprintf(&b, "%s\t%s\n", a.IP, a.Name)
			continue
		}
		for _, ip := range gateway {
			fmt.Fprintf(&b, "%s\t%s\n", ip, a.Name)
		}
	}
	if h.Net == nil || h.Net.Config == nil {
		if hostname != "" {
			fmt.Fprintf(&b, "127.0.1.1\t%s\n", hostname)
		}
		return b.String()
	}
	names := slices.DeleteFunc(slices.Clone(hostNames[:]), func(s string) bool { return said[s] })
	for _, ip := range h.Net.Config.HostAddrs {
		if len(names) > 0 {
			fmt.Fprintf(&b, "%s\t%s\n", ip, strings.Join(names, " "))
		}
	}
	for _, ip := range h.Net.addrs {
		fmt.Fprintf(&b, "%s\t%s\n", ip, strings.Join(h.Net.names, " "))
	}
	return b.String()
}
