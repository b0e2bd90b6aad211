package slirp

import (
	"net/netip"
	"strings"
)

// names are what the relay answers by itself: the container's own names, those of
// --add-host, the host's, and the other members of its networks.
type names struct{ network *Network }

// hostNames are what podman and docker call the host.
var hostNames = [...]string{"host.containers.internal", "host.docker.internal"}

// Lookup gives the addresses of a name, lower case and without a final dot.
func (n *names) Lookup(name string) (addrs []netip.Addr, found bool) {
	for _, h := range n.network.conf.Hosts {
		if strings.EqualFold(h.Name, name) {
			addrs, found = append(addrs, h.Addrs...), true
		}
	}
	if found {
		return addrs, true
	}
	for _, h := range hostNames {
		if name == h {
			return n.network.conf.HostAddrs, true
		}
	}
	for _, d := range n.network.devices() {
		if d.lan != nil {
			if a, ok := d.lan.Lookup(name); ok {
				return a, true
			}
		}
	}
	return nil, false
}

// Reverse gives an address's name.
func (n *names) Reverse(a netip.Addr) (name string, found bool) {
	for _, h := range n.network.conf.Hosts {
		for _, b := range h.Addrs {
			if a == b {
				return h.Name, true
			}
		}
	}
	for _, d := range n.network.devices() {
		if d.lan != nil {
			if name, ok := d.lan.Reverse(a); ok {
				return name, true
			}
		}
	}
	for _, b := range n.network.conf.HostAddrs {
		if a == b {
			return hostNames[0], true
		}
	}
	return "", false
}
