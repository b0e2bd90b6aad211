package slirp

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"rl/slirp/forward"
)

func testConfig() *Config {
	return &Config{Interfaces: []Interface{{Name: "eth0", MTU: DefaultMTU,
		Addrs:    []netip.Prefix{netip.MustParsePrefix("10.0.2.100/24"), netip.MustParsePrefix("fd00::100/64")},
		Gateways: []netip.Addr{netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("fd00::2")},
		DNS:      []netip.Addr{netip.MustParseAddr("10.0.2.3")},
	}}}
}

func guardOf(c *Config) *guard { return newGuard(c, []*device{{Interface: c.Interfaces[0]}}) }

// Every spelling of an address that only the host may reach.
func TestGuardRefuses(t *testing.T) {
	for _, a := range []string{
		"127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::", "::1",
		"169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
		"224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "ff02::1", "ff0e::1",
		"::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", // never on a wire
		"::127.0.0.1", "::169.254.169.254",
		"64:ff9b::169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::169.254.169.254", "64:ff9b:1:a9fe:a9:fe00::",
		"2002:a9fe:a9fe::1", "2002:7f00:1::", "2001::5601:5601", "::ffff:0:169.254.169.254",
		"2001:db8::5efe:169.254.169.254", "2001:db8::200:5efe:127.0.0.1",
	} {
		to, err := guardOf(testConfig()).allow(netip.AddrPortFrom(netip.MustParseAddr(a), 80))
		if !errors.Is(err, forward.ErrProhibited) {
			t.Errorf("%s is allowed, as %s (%v)", a, to, err)
		}
	}
}

func TestGuardAllows(t *testing.T) {
	for _, a := range []string{"8.8.8.8", "10.0.3.1", "192.168.1.1", "172.17.0.1", "100.64.0.1", "1.1.1.1",
		"2001:4860:4860::8888", "2002:808:808::1", "64:ff9b::8.8.8.8", "fd01::1", "fc00::1"} {
		want := netip.AddrPortFrom(netip.MustParseAddr(a), 443)
		if to, err := guardOf(testConfig()).allow(want); err != nil || to != want {
			t.Errorf("%s: %s, %v", a, to, err)
		}
	}
}

func TestGuardSettings(t *testing.T) {
	for _, test := range []struct {
		name string
		set  func(*Config)
		to   string
		want string // "" when refused
		err  error
	}{
		{"the gateway is nobody", func(*Config) {}, "10.0.2.2", "", forward.ErrRefused},
		{"or the host's loopback", func(c *Config) { c.HostLoopback = true }, "10.0.2.2", "127.0.0.1", nil},
		{"in both families", func(c *Config) { c.HostLoopback = true }, "fd00::2", "::1", nil},
		{"but only by the gateway", func(c *Config) { c.HostLoopback = true }, "127.0.0.1", "", forward.ErrProhibited},
		{"and not from an internal network", func(c *Config) { c.HostLoopback, c.Interfaces[0].Gateways = true, nil }, "10.0.2.77", "", unix.EHOSTUNREACH},
		{"neighbours are not looked for on the host", func(*Config) {}, "10.0.2.77", "", unix.EHOSTUNREACH},
		{"link-local when asked", func(c *Config) { c.LinkLocal = true }, "169.254.169.254", "169.254.169.254", nil},
		{"loopback not even then", func(c *Config) { c.LinkLocal = true }, "127.0.0.1", "", forward.ErrProhibited},
		{"internal: no device leads out", func(c *Config) { c.Interfaces[0].Gateways = nil }, "8.8.8.8", "", unix.ENETUNREACH},
	} {
		c := testConfig()
		test.set(c)
		to, err := guardOf(c).allow(netip.AddrPortFrom(netip.MustParseAddr(test.to), 80))
		if !errors.Is(err, test.err) || err == nil && to.Addr().String() != test.want {
			t.Errorf("%s: %s gives %s, %v", test.name, test.to, to, err)
		}
	}
}
