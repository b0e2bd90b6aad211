package external

import (
	"net/netip"
	"strings"
	"testing"
)

func TestArgs(t *testing.T) {
	full := Options{Name: "eth0", MTU: 1500, MAC: [6]byte{2, 0x42, 10, 0, 2, 100}, Subnet: netip.MustParsePrefix("10.0.7.100/24"), IPv6: true,
		HostLoopback: true, DNS: netip.MustParseAddr("169.254.1.1")}
	with := func(extra ...string) *Options { return &Options{Extra: extra} }
	const begin = "--foreground --quiet --config-net --no-netns-quit --netns /proc/self/fd/0 --pid /proc/self/fd/1 "
	for _, c := range []struct {
		name, want string
		got        []string
	}{
		{"pasta", begin + "--mtu 65520 --no-map-gw --tcp-ports none --udp-ports none --tcp-ns none --udp-ns none", pastaArgs(&Options{}, false)},
		{"pasta, everything", begin + "--runas 0 --ns-ifname eth0 --mtu 1500 --ns-mac-addr 02:42:0a:00:02:64 --dns-forward 169.254.1.1" +
			" --tcp-ports none --udp-ports none --tcp-ns none --udp-ns none", pastaArgs(&full, true)},
		{"pasta, the user's", begin + "--no-map-gw --udp-ns none -t 8080:80 --udp-ports=53 -Tauto -m 1400", pastaArgs(with("-t", "8080:80", "--udp-ports=53", "-Tauto", "-m", "1400"), false)},
		{"pasta, what is there anyway", begin + "--mtu 65520 --tcp-ports none --udp-ports none --tcp-ns none --udp-ns none -4",
			pastaArgs(with("--map-gw", "--quiet", "-4", "--config-net"), false)},
		{"slirp4netns", "--configure --ready-fd=3 --netns-type=path --enable-sandbox --enable-seccomp --mtu=65520 --disable-host-loopback /proc/self/fd/0 tap0", slirp4netnsArgs(&Options{})},
		{"slirp4netns, everything", "--configure --ready-fd=3 --netns-type=path --enable-sandbox --enable-seccomp --mtu=1500 --enable-ipv6 --cidr=10.0.7.0/24" +
			" --macaddress=02:42:0a:00:02:64 /proc/self/fd/0 eth0", slirp4netnsArgs(&full)},
		{"slirp4netns, the user's", "--configure --ready-fd=3 --netns-type=path --enable-sandbox --enable-seccomp --mtu=65520 --disable-host-loopback --disable-dns /proc/self/fd/0 tap0",
			slirp4netnsArgs(with("--disable-dns"))},
	} {
		if got := strings.Join(c.got, " "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestSaid(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"Invalid MTU: 99999999\n":       "Invalid MTU: 99999999",
		"one\n\n  two\r\nthree":         "one; two; three",
		"WARNING: seccomp\nno\x1b[2J\n": "no [2J",
		"pasta: unrecognized option '--x'\nFailed to send 3 bytes to syslog\nUsage: pasta\n  -d\n": "unrecognized option '--x'",
		strings.Repeat("x", 5000): strings.Repeat("x", 300) + "…",
		"\xff\n":                  "\uFFFD",
	} {
		var m messages
		for _, b := range []byte(in) {
			m.Write([]byte{b})
		}
		if got := m.said(); got != want {
			t.Errorf("%.60q: %q", in, got)
		}
	}
}
