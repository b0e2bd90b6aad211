package option

import (
	"net/netip"
	"slices"
	"strings"

	"rl/userns/sys/fault"
)

// Modes of --network beside Host, None and Container.
const (
	NetSlirp       = "slirp"       // the embedded user-mode stack; docker's bridge is the same here
	NetPasta       = "pasta"       // pasta(1)
	NetSlirp4netns = "slirp4netns" // slirp4netns(1)
	NetPath        = "ns"          // a namespace by its path in Arg
	NetNamed       = "network"     // user-defined networks
)

// Networks is what all --network of a command line say together. The zero value
// says nothing: the best mode there is.
type Networks struct {
	Mode             // with NetNamed, Arg is the first network's name
	Slirp   Slirp    // of NetSlirp, NetSlirp4netns, and of the default
	Extra   []string // further arguments of pasta
	Members []Member // of NetNamed: one for each network
}

// Own is what the container wants to be in a network. Zero values leave it to rl.
type Own struct {
	IP, IP6 netip.Addr
	MAC     [6]byte
	Aliases []string
}

func (o Own) none() bool {
	return !o.IP.IsValid() && !o.IP6.IsValid() && o.MAC == [6]byte{} && len(o.Aliases) == 0
}

// Member is a user-defined network and what the container is in it.
type Member struct {
	Network string
	Own
}

// Slirp is what can be said of a network of one's own. Names and meanings of the
// options are podman's.
type Slirp struct {
	MTU          int          // bytes; 0: 65520
	CIDR         netip.Prefix // invalid: the first that the host has no route into
	HostLoopback bool         // the gateway's address is the host's loopback
	LinkLocal    bool         // link-local and metadata addresses can be reached
	IPv6         string       // On, Off, or "": when the host has it
	Own
}

// Values of Slirp.IPv6.
const (
	On  = "on"
	Off = "off"
)

const networkHint = "modes are host, none, bridge, slirp, pasta, slirp4netns, container:NAME, or the name of a network"

// ParseNetworks reads every --network. A mode may have options behind a colon,
// separated by commas:
//
//	slirp[:mtu=N,cidr=SUBNET,allow_host_loopback=true,allow_link_local=true,ipv6=auto|on|off]
//	slirp4netns[:the same] · pasta[:ARG,ARG…] · container:NAME
//	NETWORK[:ip=…,ip6=…,mac=…,alias=…]   or docker's name=NETWORK,ip=…,alias=…
//
// Only user-defined networks can be several.
func ParseNetworks(values []string) (Networks, error) {
	var all Networks
	for i, s := range values {
		n, err := parseNetwork(s)
		if err != nil {
			return Networks{}, err
		}
		if i == 0 {
			all = n
			continue
		}
		for _, m := range n.Members {
			if slices.ContainsFunc(all.Members, func(o Member) bool { return o.Network == m.Network }) {
				return Networks{}, fault.New("name each network once", "network %s is specified multiple times", quote(m.Network))
			}
		}
		if n.Name != all.Name || n.Name != NetNamed {
			return Networks{}, fault.New("several networks can be given when each was made by rl network create",
				"conflicting options: cannot attach both user-defined and non-user-defined network-modes")
		}
		all.Members = append(all.Members, n.Members...)
	}
	return all, nil
}

func parseNetwork(s string) (Networks, error) {
	const kind = "network"
	name, arg, hasArg := strings.Cut(s, ":")
	options := strings.Split(arg, ",")
	if !hasArg {
		options = nil
	}
	if strings.Contains(name, "=") { // docker's long form
		fields, why := splitCSV(s)
		if why != "" {
			return Networks{}, bad(kind, s, networkHint, why)
		}
		at := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "name=") })
		if at < 0 {
			return Networks{}, bad(kind, s, "write name=NETWORK,alias=NAME", "no name is given")
		}
		name, hasArg = fields[at][len("name="):], len(fields) > 1
		options = slices.Delete(fields, at, at+1)
	}
	n := Networks{Mode: Mode{Name: name}}
	var why string
	switch name {
	case "", "default":
		if !hasArg {
			return Networks{}, nil
		}
		return Networks{}, bad(kind, s, "write slirp:"+plain(arg), "no mode before the options")
	case "bridge", Private, NetSlirp:
		n.Name = NetSlirp
		why = n.Slirp.read(options)
	case NetSlirp4netns:
		why = n.Slirp.read(options)
	case NetPasta:
		n.Extra = slices.DeleteFunc(options, func(s string) bool { return s == "" })
	case Host, None:
		if hasArg {
			return Networks{}, bad(kind, s, networkHint, quote(name), " takes nothing after a colon")
		}
	case Container, NetPath:
		if n.Arg = arg; arg == "" {
			return Networks{}, bad(kind, s, "write "+name+":NAME", name, " needs a name after the colon")
		}
	default:
		if !isName(name) && !(len(name) == 1 && isAlnum(name[0])) {
			return Networks{}, bad(kind, s, networkHint, "no such mode")
		}
		n.Name, n.Arg = NetNamed, name
		m := Member{Network: name}
		why = m.Own.read(options)
		n.Members = []Member{m}
	}
	if why != "" {
		return Networks{}, bad(kind, s, "options are "+optionsOf(n.Name), why)
	}
	return n, nil
}

// Assign adds what --ip, --ip6, --mac-address and --network-alias ask, of the
// first network.
func (n *Networks) Assign(own Own) error {
	if own.none() {
		return nil
	}
	var to *Own
	switch n.Name {
	case NetNamed:
		to = &n.Members[0].Own
	case "", NetSlirp:
		if len(own.Aliases) > 0 {
			return fault.New("make a network and join it: rl network create NAME; rl run --network NAME",
				"network-scoped alias is supported only for containers in user defined networks")
		}
		to = &n.Slirp.Own
	default:
		return fault.New("leave them away, or choose another --network",
			"conflicting options: an address or alias of the container's own and the network mode %s", n.Name)
	}
	clash := func(flag, what string) error {
		return fault.New("say it in one place", "conflicting options: cannot specify both %s and per-network %s", flag, what)
	}
	if own.IP.IsValid() {
		if to.IP.IsValid() {
			return clash("--ip", "IPv4 address")
		}
		to.IP = own.IP
	}
	if own.IP6.IsValid() {
		if to.IP6.IsValid() {
			return clash("--ip6", "IPv6 address")
		}
		to.IP6 = own.IP6
	}
	if own.MAC != [6]byte{} {
		if to.MAC != [6]byte{} {
			return clash("--mac-address", "MAC address")
		}
		to.MAC = own.MAC
	}
	if len(own.Aliases) > 0 {
		if len(to.Aliases) > 0 {
			return clash("--network-alias", "alias")
		}
		to.Aliases = own.Aliases
	}
	return nil
}
