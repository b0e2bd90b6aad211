package external

import (
	"net"
	"slices"
	"strconv"
	"strings"
)

// netnsPath is where a program finds the namespace: it is its standard input.
const netnsPath = "/proc/self/fd/0"

// pastaArgs are pasta's arguments. What the user says in Extra comes in place of
// ours, because pasta refuses an option that is there twice.
func pastaArgs(o *Options, root bool) []string {
	extra := slices.Clone(o.Extra)
	args := []string{"--foreground", "--quiet", "--config-net", "--no-netns-quit", "--netns", netnsPath,
		"--pid", "/proc/self/fd/1"} // written when everything is configured
	for _, given := range []string{"--foreground", "--quiet", "--config-net", "--no-netns-quit"} {
		extra = slices.DeleteFunc(extra, func(s string) bool { return s == given })
	}
	add := func(long, short, value string) {
		switch {
		case has(extra, long, short):
		case value == "":
			args = append(args, long)
		default:
			args = append(args, long, value)
		}
	}
	if root {
		// It would become nobody, and be refused, where its ids are mapped as the
		// host's are, which it takes for the host.
		add("--runas", "", "0")
	}
	if o.Name != "" {
		add("--ns-ifname", "-I", o.Name)
	}
	add("--mtu", "-m", mtu(o))
	if o.MAC != [6]byte{} {
		add("--ns-mac-addr", "", net.HardwareAddr(o.MAC[:]).String())
	}
	if o.DNS.IsValid() {
		add("--dns-forward", "", o.DNS.String())
	}
	// --map-gw is podman's word for leaving --no-map-gw away.
	mapped := slices.Contains(extra, "--map-gw")
	extra = slices.DeleteFunc(extra, func(s string) bool { return s == "--map-gw" })
	if !o.HostLoopback && !mapped {
		add("--no-map-gw", "", "")
	}
	for _, ports := range [][2]string{{"--tcp-ports", "-t"}, {"--udp-ports", "-u"}, {"--tcp-ns", "-T"}, {"--udp-ns", "-U"}} {
		add(ports[0], ports[1], "none")
	}
	return append(args, extra...)
}

// has tells whether an option is among arguments, in any spelling but an abbreviation.
func has(args []string, long, short string) bool {
	return slices.ContainsFunc(args, func(s string) bool {
		return s == long || strings.HasPrefix(s, long+"=") || short != "" && strings.HasPrefix(s, short)
	})
}

// slirp4netnsArgs are slirp4netns's arguments.
func slirp4netnsArgs(o *Options) []string {
	args := []string{"--configure", "--ready-fd=3", "--netns-type=path", "--enable-sandbox", "--enable-seccomp", "--mtu=" + mtu(o)}
	if !o.HostLoopback {
		args = append(args, "--disable-host-loopback")
	}
	if o.IPv6 {
		args = append(args, "--enable-ipv6")
	}
	if o.Subnet.IsValid() {
		args = append(args, "--cidr="+o.Subnet.Masked().String())
	}
	if o.MAC != [6]byte{} {
		args = append(args, "--macaddress="+net.HardwareAddr(o.MAC[:]).String())
	}
	name := o.Name
	if name == "" {
		name = "tap0"
	}
	return append(append(args, o.Extra...), netnsPath, name)
}

func mtu(o *Options) string {
	if o.MTU == 0 {
		return strconv.Itoa(defaultMTU)
	}
	return strconv.Itoa(o.MTU)
}
