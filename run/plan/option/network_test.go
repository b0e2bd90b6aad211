package option_test

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"rl/run/plan/option"
)

func mode(name string) option.Networks { return option.Networks{Mode: option.Mode{Name: name}} }

func slirp(s option.Slirp) option.Networks {
	n := mode(option.NetSlirp)
	n.Slirp = s
	return n
}

func named(members ...option.Member) option.Networks {
	n := mode(option.NetNamed)
	n.Arg, n.Members = members[0].Network, members
	return n
}

// words gives a parser of several values one text: the values between spaces.
func words[T any](parse func([]string) (T, error)) func(string) (T, error) {
	return func(s string) (T, error) { return parse(strings.Split(s, "  ")) }
}

func TestParseNetworks(t *testing.T) {
	a4, a6 := netip.MustParseAddr("10.89.0.5"), netip.MustParseAddr("fd00::5")
	mac := [6]byte{2, 0x42, 0, 0, 0, 1}
	table(t, words(option.ParseNetworks), []row[option.Networks]{
		{in: ""},
		{in: "default"},
		{in: "host", want: mode(option.Host)},
		{in: "none", want: mode(option.None)},
		{in: "bridge", want: mode(option.NetSlirp)},
		{in: "private", want: mode(option.NetSlirp)},
		{in: "slirp", want: mode(option.NetSlirp)},
		{in: "slirp:mtu=1500,cidr=10.5.0.0/16,allow_host_loopback=true,allow_link_local=1,ipv6=on",
			want: slirp(option.Slirp{MTU: 1500, CIDR: netip.MustParsePrefix("10.5.0.0/16"), HostLoopback: true, LinkLocal: true, IPv6: option.On})},
		{in: "slirp:enable_ipv6=false", want: slirp(option.Slirp{IPv6: option.Off})},
		{in: "slirp:ipv6=auto,allow_host_loopback=false", want: slirp(option.Slirp{})},
		{in: "slirp4netns:mtu=1500", want: option.Networks{Mode: option.Mode{Name: option.NetSlirp4netns}, Slirp: option.Slirp{MTU: 1500}}},
		{in: "pasta", want: mode(option.NetPasta)},
		{in: "pasta:", want: option.Networks{Mode: option.Mode{Name: option.NetPasta}, Extra: []string{}}},
		{in: "pasta:-T,5201", want: option.Networks{Mode: option.Mode{Name: option.NetPasta}, Extra: []string{"-T", "5201"}}},
		{in: "container:web", want: option.Networks{Mode: option.Mode{Name: option.Container, Arg: "web"}}},
		{in: "ns:/proc/1/ns/net", want: option.Networks{Mode: option.Mode{Name: option.NetPath, Arg: "/proc/1/ns/net"}}},
		{in: "mynet", want: named(option.Member{Network: "mynet"})},
		{in: "n", want: named(option.Member{Network: "n"})},
		{in: "a1  b1:alias=x", want: named(option.Member{Network: "a1"}, option.Member{Network: "b1", Own: option.Own{Aliases: []string{"x"}}})},
		{in: "mynet:ip=10.89.0.5,ip6=fd00::5,mac=02:42:00:00:00:01,alias=x,alias=y",
			want: named(option.Member{Network: "mynet", Own: option.Own{IP: a4, IP6: a6, MAC: mac, Aliases: []string{"x", "y"}}})},
		{in: "mynet:ip=fd00::5", want: named(option.Member{Network: "mynet", Own: option.Own{IP6: a6}})},
		{in: "name=mynet,alias=x,ip=10.89.0.5", want: named(option.Member{Network: "mynet", Own: option.Own{IP: a4, Aliases: []string{"x"}}})},
		{in: "alias=x,name=mynet", want: named(option.Member{Network: "mynet", Own: option.Own{Aliases: []string{"x"}}})},
		{in: "name=host", want: mode(option.Host)},

		{in: "host:x", err: "takes nothing after a colon", hint: "container:NAME"},
		{in: ":", err: "no mode"},
		{in: ":mtu=1", err: "no mode", hint: "slirp:mtu=1"},
		{in: "container:", err: "needs a name"},
		{in: "container", err: "needs a name"},
		{in: "my net", err: "no such mode"},
		{in: "alias=x", err: "no name is given"},
		{in: `name=a,"b`, err: "quote"},
		{in: "host  none", err: "cannot attach both user-defined and non-user-defined"},
		{in: "mynet  slirp", err: "cannot attach both"},
		{in: "  mynet", err: "cannot attach both"},
		{in: "a1  b1  a1", err: `"a1" is specified multiple times`},
		{in: "slirp:mtu=67", err: `invalid mtu: "67"`, hint: "cidr"},
		{in: "slirp:mtu=65521", err: "invalid mtu"},
		{in: "slirp:mtu", err: "invalid mtu"},
		{in: "slirp:mtu=1000,ipv6=on", err: "at least 1280"},
		{in: "slirp:cidr=10.0.2.0", err: "no IPv4 subnet"},
		{in: "slirp:cidr=fd00::/64", err: "no IPv4 subnet"},
		{in: "slirp:cidr=10.0.2.100/24", err: "is 10.0.2.0/24"},
		{in: "slirp:cidr=10.0.2.0/26", err: "/8 to /25"},
		{in: "slirp:cidr=127.0.0.0/8", err: "not for containers"},
		{in: "slirp:cidr=169.254.0.0/24", err: "not for containers"},
		{in: "slirp:cidr=224.0.0.0/24", err: "not for containers"},
		{in: "slirp:cidr=0.0.0.0/8", err: "not for containers"},
		{in: "slirp:allow_host_loopback=perhaps", err: "invalid allow_host_loopback"},
		{in: "slirp:ipv6=perhaps", err: "invalid ipv6"},
		{in: "slirp:port_handler=x", err: "not supported"},
		{in: "slirp:mut=5", err: `unknown option "mut"`},
		{in: "slirp:", err: "unknown option"},
		{in: "mynet:ip=10.0.0", err: "invalid IP address"},
		{in: "mynet:mac=01:00:5e:00:00:01", err: "invalid MAC address"},
		{in: "mynet:alias=a b", err: "network alias"},
		{in: "mynet:mtu=1", err: "unknown option", hint: "alias"},
		{in: "name=mynet,driver-opt=x", err: "not supported"},
	})
}

func TestAssign(t *testing.T) {
	a4, mac := netip.MustParseAddr("10.89.0.5"), [6]byte{2}
	own := option.Own{IP: a4, MAC: mac}
	for _, c := range []struct {
		network string
		own     option.Own
		want    option.Networks
		err     string
	}{
		{"host", option.Own{}, mode(option.Host), ""},
		{"", own, option.Networks{Slirp: option.Slirp{Own: own}}, ""},
		{"slirp:mtu=1500", own, slirp(option.Slirp{MTU: 1500, Own: own}), ""},
		{"a1  b1", own, named(option.Member{Network: "a1", Own: own}, option.Member{Network: "b1"}), ""},
		{"a1", option.Own{Aliases: []string{"x"}}, named(option.Member{Network: "a1", Own: option.Own{Aliases: []string{"x"}}}), ""},
		{"a1:alias=x", own, named(option.Member{Network: "a1", Own: option.Own{IP: a4, MAC: mac, Aliases: []string{"x"}}}), ""},
		{"host", own, option.Networks{}, "network mode host"},
		{"pasta", own, option.Networks{}, "network mode pasta"},
		{"slirp", option.Own{Aliases: []string{"x"}}, option.Networks{}, "only for containers in user defined networks"},
		{"a1:ip=10.89.0.6", own, option.Networks{}, "both --ip and per-network IPv4"},
		{"a1:mac=02:00:00:00:00:01", own, option.Networks{}, "both --mac-address"},
		{"a1:alias=x", option.Own{Aliases: []string{"y"}}, option.Networks{}, "both --network-alias"},
		{"a1:ip6=fd00::1", option.Own{IP6: netip.MustParseAddr("fd00::2")}, option.Networks{}, "both --ip6"},
	} {
		n, err := words(option.ParseNetworks)(c.network)
		if err != nil {
			t.Fatal(err)
		}
		err = n.Assign(c.own)
		if c.err != "" {
			checkError(t, c.network, err, c.err, "")
		} else if err != nil || !reflect.DeepEqual(n, c.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", c.network, n, err, c.want)
		}
	}
}

func TestParseAddresses(t *testing.T) {
	table(t, option.ParseIP4, []row[netip.Addr]{
		{in: "10.0.2.7", want: netip.MustParseAddr("10.0.2.7")},
		{in: "fd00::1", err: "invalid IPv4 address"},
		{in: "10.0.2", err: "invalid IPv4 address"},
		{in: "010.0.0.1", err: "invalid IPv4 address"},
	})
	table(t, option.ParseIP6, []row[netip.Addr]{
		{in: "fd00::1", want: netip.MustParseAddr("fd00::1")},
		{in: "fe80::1%eth0", err: "invalid IPv6 address"},
		{in: "::ffff:1.2.3.4", err: "invalid IPv6 address"},
		{in: "1.2.3.4", err: "invalid IPv6 address"},
	})
	table(t, option.ParseMAC, []row[[6]byte]{
		{in: "02:42:ac:11:00:02", want: [6]byte{2, 0x42, 0xac, 0x11, 0, 2}},
		{in: "0242.ac11.0002", want: [6]byte{2, 0x42, 0xac, 0x11, 0, 2}},
		{in: "00:00:00:00:00:00", err: "invalid MAC"},
		{in: "ff:ff:ff:ff:ff:ff", err: "invalid MAC"},
		{in: "02:42:ac:11:00:02:00:00", err: "invalid MAC"},
		{in: "x", err: "invalid MAC"},
	})
	table(t, option.ParseAlias, []row[string]{
		{in: "db_1.local", want: "db_1.local"}, {in: "", err: "network alias"}, {in: "a/b", err: "network alias"},
	})
}
