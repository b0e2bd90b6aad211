package plan

import (
	"net/netip"
	"slices"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/run/plan/option"
	"rl/slirp"
	"rl/userns/sys/fault"
)

// NetFacts is what the network's plan must know of the host.
type NetFacts struct {
	Rung     string       // of the network ladder: slirp, host, none, network, container, pasta, slirp4netns
	ID       string       // the container's, 64 hexadecimal digits
	Hostname string       // the host's
	Routes   []byte       // the host's /proc/net/route
	Routes6  []byte       // the host's /proc/net/ipv6_route
	Addrs    []netip.Addr // where the host can be reached, at most one of a family; an IPv6 one: it has IPv6
	Resolv   string       // path of the host's resolv.conf
	Joined   []Membership // with rung network: what Flags.Network.Members became, in order
	Other    *Other       // with rung container: whose network is shared
}

// Membership is a user-defined network with the addresses leased in it.
type Membership struct {
	Network           string
	IP, IP6           netip.Addr // leased; IP6 may be invalid
	Subnet, Subnet6   netip.Prefix
	Gateway, Gateway6 netip.Addr // where the relay of names listens, also in an internal network
	Internal          bool
	MTU               int    // bytes; 0 is the default
	Dir               string // where the members' sockets are
}

// Other is the container whose network namespace another one enters, and whose
// files are therefore right for both.
type Other struct {
	Hostname      string
	Resolv, Hosts []byte
}

// Net is a container's network, decided.
type Net struct {
	// Config is what the monitor's stack is told; nil where that has no part. Of
	// rung slirp4netns it says what that program is to be told, of pasta only
	// Ports and Pcap are of use.
	Config *slirp.Config
	// Publish are the ports to bind: Config.Ports has one for each, in order, with
	// the host port that is tried first.
	Publish []option.Publish
	// Notices tell what was asked and cannot be.
	Notices []string

	resolvers []netip.Addr // what resolv.conf names unless the user does; none: the host's
	addrs     []netip.Addr // the container's own, for its hosts file
	names     []string     // and what it is called
	gateway   []netip.Addr // what host-gateway stands for
	other     *Other
}

// PastaDNS is where pasta answers queries for the host's resolvers when it is
// started with --dns-forward; podman's choice.
var PastaDNS = netip.AddrFrom4([4]byte{169, 254, 1, 1})

// Network decides a container's network. It is pure; the rung was chosen, and
// addresses in user-defined networks were leased before.
func Network(image *v1.ImageConfig, f *Flags, h *NetFacts) (*Net, error) {
	n := &Net{}
	if err := n.discard(f, h.Rung); err != nil || h.Rung == "host" || h.Rung == "none" {
		return n, err
	}
	if h.Rung == "container" {
		n.other = h.Other
		return n, nil
	}
	n.Config = &slirp.Config{Resolv: h.Resolv, Pcap: f.Pcap, HostLoopback: f.Network.Slirp.HostLoopback, LinkLocal: f.Network.Slirp.LinkLocal}
	n.names = []string{hostname(f, h.ID, h.Hostname)}
	if f.Name != "" && f.Name != n.names[0] {
		n.names = append(n.names, f.Name)
	}
	var err error
	switch h.Rung {
	case "network":
		err = n.members(f, h)
	case "pasta":
		n.resolvers, n.addrs = []netip.Addr{PastaDNS}, h.Addrs // it gives the container the host's own addresses
	default:
		err = n.slirp(&f.Network.Slirp, h)
	}
	if err != nil {
		return nil, err
	}
	n.decideGateway(h)
	n.tellNames(f)
	return n, n.publish(image, f)
}

// hostname is the container's, which is the host's where it has none of its own.
func hostname(f *Flags, id, host string) string {
	switch {
	case f.UTS.Name == "host":
		return host
	case f.Hostname != "":
		return f.Hostname
	}
	return id[:12]
}

// discard refuses what a mode cannot do, in docker's words, or says that it is
// left out: with the host's network ports are open by themselves.
func (n *Net) discard(f *Flags, rung string) error {
	own := f.Network.Slirp.Own
	asked := own.IP.IsValid() || own.IP6.IsValid() || own.MAC != [6]byte{}
	conflict := func(what string) error {
		return fault.New("leave one of them away, or use --network slirp", "conflicting options: %s and the network mode %s", what, rung)
	}
	switch rung {
	case "host":
		if len(f.Publish) > 0 || f.PublishAll {
			n.Notices = append(n.Notices, "published ports are discarded when using host network mode: the container's ports are the host's")
		}
		if asked {
			n.Notices = append(n.Notices, "--ip, --ip6 and --mac-address have no effect when using host network mode")
		}
	case "none", "container":
		switch {
		case len(f.Publish) > 0 || f.PublishAll:
			return conflict("port publishing")
		case rung == "container" && f.Hostname != "":
			return conflict("hostname")
		case rung == "container" && len(f.DNS)+len(f.Search)+len(f.DNSOpts) > 0:
			return conflict("dns")
		case rung == "container" && len(f.AddHosts) > 0:
			return conflict("custom host-to-IP mapping")
		}
	}
	if f.Pcap != "" && rung != "slirp" && rung != "network" {
		return fault.New("use --network slirp", "--pcap captures what the embedded network carries: conflicting options: --pcap and the network mode %s", rung)
	}
	return nil
}

// slirp lays out the default network: as slirp4netns does, gateway .2, name
// server .3, container .100, and the same in fd00::/64.
func (n *Net) slirp(s *option.Slirp, h *NetFacts) error {
	subnet, subnet6, err := n.subnets(s, h)
	if err != nil {
		return err
	}
	i := slirp.Interface{Name: "eth0", MTU: s.MTU, MAC: s.MAC,
		Gateways: []netip.Addr{nth(subnet, 2)}, DNS: []netip.Addr{nth(subnet, 3)}}
	if h.Rung == option.NetSlirp4netns {
		i.Name = "tap0"
	}
	if i.MTU == 0 {
		i.MTU = slirp.DefaultMTU
	}
	ip := nth(subnet, 100)
	if s.IP.IsValid() {
		if ip = s.IP; !free(ip, subnet) {
			return fault.New("choose one of "+subnet.String()+", or another subnet: --network slirp:cidr=SUBNET",
				"--ip %s is no address for a container in the network %s", ip, subnet)
		}
	}
	i.Addrs = []netip.Prefix{netip.PrefixFrom(ip, subnet.Bits())}
	if i.MAC == [6]byte{} {
		i.MAC = macOf(ip)
	}
	if subnet6.IsValid() {
		ip6 := nth(subnet6, 0x100)
		if s.IP6.IsValid() {
			if ip6 = s.IP6; !free(ip6, subnet6) {
				return fault.New("choose one of "+subnet6.String(), "--ip6 %s is no address for a container in the network %s", ip6, subnet6)
			}
		}
		i.Addrs = append(i.Addrs, netip.PrefixFrom(ip6, subnet6.Bits()))
		i.Gateways, i.DNS = append(i.Gateways, nth(subnet6, 2)), append(i.DNS, nth(subnet6, 3))
	}
	n.Config.Interfaces = []slirp.Interface{i}
	n.resolvers = i.DNS[:1]
	n.addrs = addrsOf(i)
	return nil
}

// decideGateway decides what host.containers.internal and host-gateway are. With
// pasta the host's address is the container's own.
func (n *Net) decideGateway(h *NetFacts) {
	list := h.Addrs
	switch {
	case h.Rung == option.NetPasta:
		return
	case n.Config.HostLoopback:
		list = n.Config.Interfaces[0].Gateways
	}
	six := slices.ContainsFunc(n.addrs, netip.Addr.Is6)
	for _, a := range list {
		if a.Is4() || six {
			n.gateway = append(n.gateway, a)
		}
	}
	if !n.Config.Internal {
		n.Config.HostAddrs = n.gateway
	}
}

func addrsOf(i slirp.Interface) []netip.Addr {
	var list []netip.Addr
	for _, p := range i.Addrs {
		list = append(list, p.Addr())
	}
	return list
}

// macOf is docker's link address of an IPv4 address: nobody else on the network
// has it.
func macOf(a netip.Addr) [6]byte {
	b := a.As4()
	return [6]byte{0x02, 0x42, b[0], b[1], b[2], b[3]}
}
