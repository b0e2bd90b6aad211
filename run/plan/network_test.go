package plan

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/run/plan/option"
	"rl/slirp"
)

const routeHead = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

// route is a line of /proc/net/route for a subnet.
func route(t *testing.T, subnet string) string {
	t.Helper()
	p := netip.MustParsePrefix(subnet)
	a, m := p.Addr().As4(), [4]byte{}
	for i := range p.Bits() {
		m[i/8] |= 0x80 >> (i % 8)
	}
	hex := func(b [4]byte) string {
		var s strings.Builder
		for i := 3; i >= 0; i-- {
			s.WriteString(string("0123456789ABCDEF"[b[i]>>4]) + string("0123456789ABCDEF"[b[i]&15]))
		}
		return s.String()
	}
	return "eth0\t" + hex(a) + "\t00000000\t0001\t0\t0\t0\t" + hex(m) + "\t0\t0\t0\n"
}

func netFacts(rung string) *NetFacts {
	return &NetFacts{Rung: rung, ID: strings.Repeat("ab", 32), Hostname: "laptop", Resolv: "/etc/resolv.conf",
		Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}}
}

func mustNetwork(t *testing.T, image v1.ImageConfig, f Flags, h *NetFacts) *Net {
	t.Helper()
	n, err := Network(&image, &f, h)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

func addrs(list ...string) (all []netip.Addr) {
	for _, s := range list {
		all = append(all, netip.MustParseAddr(s))
	}
	return all
}

func TestDefaultNetwork(t *testing.T) {
	n := mustNetwork(t, v1.ImageConfig{}, Flags{Name: "web", AddHosts: []option.AddHost{{Name: "db", IP: "192.0.2.9"}, {Name: "gw", IP: option.HostGateway}}}, netFacts("slirp"))
	want := &slirp.Config{
		Interfaces: []slirp.Interface{{Name: "eth0", MTU: 65520, MAC: [6]byte{2, 0x42, 10, 0, 2, 100}, Addrs: prefixes("10.0.2.100/24", "fd00::100/64"),
			Gateways: addrs("10.0.2.2", "fd00::2"), DNS: addrs("10.0.2.3", "fd00::3")}},
		HostAddrs: addrs("192.0.2.7", "2001:db8::7"),
		Resolv:    "/etc/resolv.conf",
		Hosts: []slirp.Host{{Name: "db", Addrs: addrs("192.0.2.9")}, {Name: "gw", Addrs: addrs("192.0.2.7", "2001:db8::7")},
			{Name: "abababababab", Addrs: addrs("10.0.2.100", "fd00::100")}, {Name: "web", Addrs: addrs("10.0.2.100", "fd00::100")}},
	}
	if !reflect.DeepEqual(n.Config, want) || n.Notices != nil {
		t.Errorf("got  %+v\nwant %+v\nnotices %q", n.Config, want, n.Notices)
	}
}

// Each row changes one thing of the default network.
func TestNetworkOptions(t *testing.T) {
	without6 := netFacts("slirp")
	without6.Addrs = without6.Addrs[:1]
	offline := netFacts("slirp")
	offline.Addrs = nil
	for _, c := range []struct {
		name  string
		slirp option.Slirp
		facts *NetFacts
		addrs []netip.Prefix
		host  []netip.Addr
		err   string
	}{
		{"no IPv6 on the host", option.Slirp{}, without6, prefixes("10.0.2.100/24"), addrs("192.0.2.7"), ""},
		{"IPv6 all the same", option.Slirp{IPv6: option.On}, without6, prefixes("10.0.2.100/24", "fd00::100/64"), addrs("192.0.2.7"), ""},
		{"IPv6 off", option.Slirp{IPv6: option.Off}, nil, prefixes("10.0.2.100/24"), addrs("192.0.2.7"), ""},
		{"a small mtu", option.Slirp{MTU: 1000}, nil, prefixes("10.0.2.100/24"), addrs("192.0.2.7"), ""},
		{"offline", option.Slirp{}, offline, prefixes("10.0.2.100/24"), nil, ""},
		{"host loopback", option.Slirp{HostLoopback: true}, offline, prefixes("10.0.2.100/24"), addrs("10.0.2.2"), ""},
		{"cidr", option.Slirp{CIDR: netip.MustParsePrefix("10.128.0.0/9")}, without6, prefixes("10.128.0.100/9"), addrs("192.0.2.7"), ""},
		{"--ip", option.Slirp{Own: option.Own{IP: addrs("10.0.2.15")[0], IP6: addrs("fd00::f")[0]}}, without6, prefixes("10.0.2.15/24", "fd00::f/64"), addrs("192.0.2.7"), ""},

		{"--ip elsewhere", option.Slirp{Own: option.Own{IP: addrs("10.0.3.15")[0]}}, nil, nil, nil, "--ip 10.0.3.15 is no address for a container in the network 10.0.2.0/24"},
		{"--ip of the gateway", option.Slirp{Own: option.Own{IP: addrs("10.0.2.2")[0]}}, nil, nil, nil, "no address for a container"},
		{"--ip of the name server", option.Slirp{Own: option.Own{IP: addrs("10.0.2.3")[0]}}, nil, nil, nil, "no address for a container"},
		{"--ip of the network", option.Slirp{Own: option.Own{IP: addrs("10.0.2.0")[0]}}, nil, nil, nil, "no address for a container"},
		{"--ip of everybody", option.Slirp{Own: option.Own{IP: addrs("10.0.2.255")[0]}}, nil, nil, nil, "no address for a container"},
		{"--ip6 elsewhere", option.Slirp{Own: option.Own{IP6: addrs("fd01::1")[0]}}, nil, nil, nil, "--ip6 fd01::1"},
		{"--ip6 without IPv6", option.Slirp{IPv6: option.Off, Own: option.Own{IP6: addrs("fd00::f")[0]}}, nil, nil, nil, "conflicting options"},
		{"--ip6 and a small mtu", option.Slirp{MTU: 1000, Own: option.Own{IP6: addrs("fd00::f")[0]}}, nil, nil, nil, "at least 1280"},
	} {
		h := c.facts
		if h == nil {
			h = netFacts("slirp")
		}
		n, err := Network(&v1.ImageConfig{}, &Flags{Network: option.Networks{Slirp: c.slirp}}, h)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v; want %q", c.name, err, c.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if i := n.Config.Interfaces[0]; !slices.Equal(i.Addrs, c.addrs) || !slices.Equal(n.Config.HostAddrs, c.host) ||
			len(i.Gateways) != len(c.addrs) || len(i.DNS) != len(c.addrs) {
			t.Errorf("%s: %+v, host %v", c.name, i, n.Config.HostAddrs)
		}
	}
}

func TestSubnetAvoidsTheHosts(t *testing.T) {
	all := func(list ...string) string {
		s := routeHead
		for _, p := range list {
			s += route(t, p)
		}
		return s
	}
	for _, c := range []struct {
		name, routes, want string
		notices            int
	}{
		{"nothing", "", "10.0.2.0/24", 0},
		{"a default route", all("0.0.0.0/0", "192.168.1.0/24"), "10.0.2.0/24", 0},
		{"a VPN's halves", all("0.0.0.0/1", "128.0.0.0/1"), "10.0.2.0/24", 0},
		{"the same", all("10.0.2.0/24"), "10.0.3.0/24", 0},
		{"a host in it", all("10.0.2.100/32", "10.0.3.128/25"), "10.0.4.0/24", 0},
		{"all of 10", all("10.0.0.0/8"), "172.31.0.0/24", 0},
		{"both", all("10.0.0.0/8", "172.16.0.0/12"), "192.168.2.0/24", 0},
		{"all that is private", all("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"), "10.0.2.0/24", 1},
		{"down, and unreachable", routeHead + "eth0\t0002000A\t0\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0\n*\t0002000A\t0\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", "10.0.2.0/24", 0},
		{"nonsense", "a b c\n\x00\nx y z 0001 0 0 0 q\n", "10.0.2.0/24", 0},
	} {
		h := netFacts("slirp")
		h.Routes = []byte(c.routes)
		n := mustNetwork(t, v1.ImageConfig{}, Flags{}, h)
		if got := n.Config.Interfaces[0].Addrs[0].Masked().String(); got != c.want || len(n.Notices) != c.notices {
			t.Errorf("%s: %s, want %s; notices %q", c.name, got, c.want, n.Notices)
		}
	}
	h := netFacts("slirp")
	h.Routes6 = []byte("fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n" +
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n")
	if got := mustNetwork(t, v1.ImageConfig{}, Flags{}, h).Config.Interfaces[0].Addrs[1].String(); got != "fd00:0:0:1::100/64" {
		t.Errorf("with a host in fd00::/64: %s", got)
	}
}

func FuzzRoutes(f *testing.F) {
	f.Add([]byte(routeHead+"eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"), []byte("fd00 40 0 0 0 0 0 0 1 eth0\n"))
	f.Fuzz(func(t *testing.T, four, six []byte) {
		for _, p := range append(routes4(four), routes6(six)...) {
			if !p.IsValid() || p != p.Masked() || p.Bits() < 2 {
				t.Errorf("route %v", p)
			}
		}
	})
}

func TestPublish(t *testing.T) {
	image := v1.ImageConfig{ExposedPorts: map[string]struct{}{"80/tcp": {}, "53/udp": {}, "nonsense": {}}}
	parse := func(list ...string) (all []option.Publish) {
		for _, s := range list {
			p, err := option.ParsePublish(s)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p...)
		}
		return all
	}
	n := mustNetwork(t, image, Flags{PublishAll: true, Publish: parse("8080:80", "9000-9010:90"), Expose: []option.Port{{Proto: "tcp", Port: 443}, {Proto: "udp", Port: 53}}}, netFacts("slirp"))
	want := []slirp.Port{{Proto: "tcp", HostPort: 8080, ContainerPort: 80}, {Proto: "tcp", HostPort: 9000, ContainerPort: 90},
		{Proto: "udp", ContainerPort: 53}, {Proto: "tcp", ContainerPort: 443}}
	if !slices.Equal(n.Config.Ports, want) || len(n.Publish) != len(want) || n.Publish[1].HostEnd != 9010 || len(n.Notices) != 1 {
		t.Errorf("%+v, %+v, %q", n.Config.Ports, n.Publish, n.Notices)
	}
	for _, c := range []struct {
		ports []string
		clash bool
	}{
		{[]string{"80:80", "80:80/udp"}, false},
		{[]string{"127.0.0.1:80:80", "127.0.0.2:80:81"}, false},
		{[]string{"0.0.0.0:80:80", "[::]:80:80"}, false},
		{[]string{"80", "80"}, false},
		{[]string{"80-90:80", "80-90:80"}, false},
		{[]string{"80:80", "80:81"}, true},
		{[]string{"80:80", "80:80"}, true},
		{[]string{"80:80", "127.0.0.1:80:80"}, true},
		{[]string{"0.0.0.0:80:80", "127.0.0.1:80:80"}, true},
		{[]string{"[::1]:80:80", "[::]:80:80"}, true},
		{[]string{"1-9:1-9/udp", "9:53/udp"}, true},
		{[]string{"1-5000:1-5000"}, true}, // too many
	} {
		_, err := Network(&v1.ImageConfig{}, &Flags{Publish: parse(c.ports...)}, netFacts("slirp"))
		if (err != nil) != c.clash {
			t.Errorf("%q: %v", c.ports, err)
		}
	}
}

func TestOtherModes(t *testing.T) {
	port := []option.Publish{{Proto: "tcp", ContainerPort: 80}}
	for _, c := range []struct {
		rung    string
		flags   Flags
		notices int
		err     string
	}{
		{"host", Flags{}, 0, ""},
		{"host", Flags{Publish: port}, 1, ""},
		{"host", Flags{Network: option.Networks{Slirp: option.Slirp{Own: option.Own{MAC: [6]byte{2}}}}}, 1, ""},
		{"host", Flags{Pcap: "/x"}, 0, "--pcap"},
		{"none", Flags{Hostname: "x"}, 0, ""},
		{"none", Flags{Publish: port}, 0, "port publishing and the network mode none"},
		{"container", Flags{PublishAll: true}, 0, "port publishing and the network mode container"},
		{"container", Flags{Hostname: "x"}, 0, "hostname and the network mode"},
		{"container", Flags{DNS: []string{"192.0.2.1"}}, 0, "dns and the network mode"},
		{"container", Flags{AddHosts: []option.AddHost{{Name: "x", IP: "192.0.2.1"}}}, 0, "custom host-to-IP mapping"},
	} {
		h := netFacts(c.rung)
		h.Other = &Other{}
		n, err := Network(&v1.ImageConfig{}, &c.flags, h)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s %+v: %v; want %q", c.rung, c.flags, err, c.err)
			}
		} else if err != nil || n.Config != nil || len(n.Notices) != c.notices {
			t.Errorf("%s: %+v, %v", c.rung, n, err)
		}
	}
	s := mustNetwork(t, v1.ImageConfig{}, Flags{Publish: port}, netFacts("slirp4netns"))
	if i := s.Config.Interfaces[0]; i.Name != "tap0" || len(s.Config.Ports) != 1 {
		t.Errorf("slirp4netns: %+v", s.Config)
	}
	p := mustNetwork(t, v1.ImageConfig{}, Flags{Publish: port, AddHosts: []option.AddHost{{Name: "x", IP: option.HostGateway}}}, netFacts("pasta"))
	if len(p.Config.Interfaces) != 0 || len(p.Config.Ports) != 1 || len(p.Notices) != 1 {
		t.Errorf("pasta: %+v, %q", p.Config, p.Notices)
	}
}

func TestMembers(t *testing.T) {
	h := netFacts("network")
	h.Joined = []Membership{
		{Network: "back", IP: addrs("10.89.1.2")[0], Subnet: prefixes("10.89.1.0/24")[0], Gateway: addrs("10.89.1.1")[0], Internal: true, Dir: "/run/back", MTU: 1500},
		{Network: "front", IP: addrs("10.89.0.5")[0], IP6: addrs("fd00:89::5")[0], Subnet: prefixes("10.89.0.0/24")[0], Subnet6: prefixes("fd00:89::/64")[0],
			Gateway: addrs("10.89.0.1")[0], Gateway6: addrs("fd00:89::1")[0], Dir: "/run/front"},
	}
	f := Flags{Name: "db", Hostname: "box", Network: option.Networks{Mode: option.Mode{Name: option.NetNamed, Arg: "back"},
		Members: []option.Member{{Network: "back", Own: option.Own{MAC: [6]byte{2}, Aliases: []string{"pg", "db"}}}, {Network: "front"}}}}
	n := mustNetwork(t, v1.ImageConfig{}, f, h)
	want := []slirp.Interface{
		{Name: "eth0", MTU: 1500, MAC: [6]byte{2}, Addrs: prefixes("10.89.1.2/24"), DNS: addrs("10.89.1.1"),
			LAN: &slirp.LAN{Network: "back", Dir: "/run/back", ID: h.ID, Names: []string{"db", "box", "pg", "abababababab"}}},
		{Name: "eth1", MTU: 65520, MAC: [6]byte{2, 0x42, 10, 89, 0, 5}, Addrs: prefixes("10.89.0.5/24", "fd00:89::5/64"),
			Gateways: addrs("10.89.0.1", "fd00:89::1"), DNS: addrs("10.89.0.1", "fd00:89::1"),
			LAN: &slirp.LAN{Network: "front", Dir: "/run/front", ID: h.ID, Names: []string{"db", "box", "abababababab"}}},
	}
	if !reflect.DeepEqual(n.Config.Interfaces, want) || n.Config.Internal {
		t.Errorf("got  %+v\nwant %+v", n.Config.Interfaces, want)
	}
	h.Joined, f.Network.Members = h.Joined[:1], f.Network.Members[:1]
	if n := mustNetwork(t, v1.ImageConfig{}, f, h); !n.Config.Internal || n.Config.HostAddrs != nil {
		t.Errorf("an internal network: %+v", n.Config)
	}
}

// The files that a container of the embedded network reads names from.
func TestNetworkFiles(t *testing.T) {
	h := facts(t)
	h.Resolv = []byte("# managed by the host\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lab\n")
	for _, c := range []struct {
		name          string
		flags         Flags
		facts         *NetFacts
		resolv, hosts string
	}{
		{"default", Flags{Name: "web"}, netFacts("slirp"), "options edns0 trust-ad\nsearch lab\nnameserver 10.0.2.3\n",
			"192.0.2.7\thost.containers.internal host.docker.internal\n2001:db8::7\thost.containers.internal host.docker.internal\n" +
				"10.0.2.100\tabababababab web\nfd00::100\tabababababab web\n"},
		{"asked", Flags{Hostname: "box", DNS: []string{"192.0.2.53"}, Search: []string{"."}, DNSOpts: []string{"ndots:1"},
			AddHosts: []option.AddHost{{Name: "host.docker.internal", IP: "192.0.2.8"}, {Name: "gw", IP: option.HostGateway}}}, netFacts("slirp4netns"),
			"nameserver 192.0.2.53\noptions ndots:1\n",
			"192.0.2.8\thost.docker.internal\n192.0.2.7\tgw\n2001:db8::7\tgw\n192.0.2.7\thost.containers.internal\n2001:db8::7\thost.containers.internal\n10.0.2.100\tbox\nfd00::100\tbox\n"},
		{"pasta", Flags{Hostname: "box"}, netFacts("pasta"), "options edns0 trust-ad\nsearch lab\nnameserver 169.254.1.1\n", "192.0.2.7\tbox\n2001:db8::7\tbox\n"},
	} {
		h.Net, h.Network = mustNetwork(t, v1.ImageConfig{}, c.flags, c.facts), c.facts.Rung
		if got := resolv(&c.flags, h); got != c.resolv {
			t.Errorf("%s: resolv.conf %q, want %q", c.name, got, c.resolv)
		}
		if got, want := hosts("", &c.flags, h), "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"+c.hosts; got != want {
			t.Errorf("%s: hosts\n%q, want\n%q", c.name, got, want)
		}
	}
	other := netFacts("container")
	other.Other = &Other{Hostname: "first", Resolv: []byte("nameserver 10.0.2.3\n"), Hosts: []byte("10.0.2.100\tfirst\n")}
	h.Net, h.Network = mustNetwork(t, v1.ImageConfig{}, Flags{}, other), "container"
	p := mustPlan(t, v1.ImageConfig{Cmd: []string{"sh"}}, Flags{}, h)
	if p.Spec.Hostname != "first" || p.Private("network") || p.Files[0].Data != "nameserver 10.0.2.3\n" || p.Files[1].Data != "10.0.2.100\tfirst\n" {
		t.Errorf("beside another container: %q, %+v", p.Spec.Hostname, p.Files)
	}
}
