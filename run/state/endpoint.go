package state

import "net/netip"

// Endpoint is what a container is in a network, of those that rl serves itself.
type Endpoint struct {
	Network  string         // a user-defined network's name, or the rung of the network ladder
	Addrs    []netip.Prefix // the container's, with the length of the subnet
	Gateways []netip.Addr   `json:",omitempty"`
	MAC      [6]byte
	Names    []string `json:",omitempty"` // what others call it there
}
