// Package slirp gives a container a network without any privilege on the host:
// user-mode TCP/IP in the process that stands behind the container.
//
//	container's network namespace          monitor, in the host's network namespace
//
//	program ─ kernel TCP/IP ─ eth0 ══tap══▶ link ─▶ stack ─▶ forward ─ sockets ─▶ the world
//	                                         │        └────▶ dns ──── sockets ─▶ the host's resolvers
//	                                         └─▶ lan ══▶ the tap devices of other containers
//	program ◀─ sockets made inside ◀──────────────────────── publish ◀─ listening sockets
//
// What a program in the container sends to the world ends in the stack here,
// which opens a socket of the host for it: to the host, the container's
// traffic is that of an ordinary program of the user. Nothing needs a bridge,
// a firewall rule, a daemon or another binary.
//
// What it refuses: to reach the host's own loopback, link-local and metadata
// addresses, unless the configuration allows them.
package slirp

import "net/netip"

// Config is one container's network. It is plain data and travels as JSON from
// the front to the monitor.
type Config struct {
	Interfaces []Interface // the first one with a gateway has the default route
	Ports      []Port      // published; their sockets come beside, Files of each in order

	// Of the traffic to the world.
	HostLoopback bool         // the gateway's address is the host's 127.0.0.1 (or ::1)
	LinkLocal    bool         // 169.254.0.0/16, fe80::/10 and the metadata addresses are not refused
	Internal     bool         // nothing leaves: other members and DNS of local names only
	HostAddrs    []netip.Addr // what host.containers.internal is, at most one of a family

	Hosts  []Host // --add-host and the container's own names, answered by DNS too
	Resolv string // path of the host's resolv.conf, read as it is at each time
	Pcap   string // write a packet capture here; "" does not
}

// Interface is one network device of the container.
type Interface struct {
	Name     string // eth0
	MTU      int
	MAC      [6]byte
	Addrs    []netip.Prefix // of the container, with the length of its subnet
	Gateways []netip.Addr   // at most one of a family; none: no default route
	DNS      []netip.Addr   // where the relay listens; often a gateway
	LAN      *LAN           // the user-defined network behind it, nil for the default one
}

// LAN is a membership in a user-defined network.
type LAN struct {
	Network string   // its name
	Dir     string   // where its members' sockets are
	ID      string   // the container's
	Names   []string // what other members call this one
}

// Port is a published port.
type Port struct {
	Proto         string // tcp or udp
	HostIP        netip.Addr
	HostPort      uint16
	ContainerPort uint16
	Files         int // sockets that came with it
}

// Host is a name with addresses.
type Host struct {
	Name  string
	Addrs []netip.Addr
}

// GatewayMAC is the link address of the gateway, the same in every container:
// each has a stack of its own behind it.
var GatewayMAC = [6]byte{0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xee}

// The largest MTU that leaves room for a 64 KB frame with its headers; slirp4netns' and
// podman's default, too.
const DefaultMTU = 65520
