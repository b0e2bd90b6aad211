package plan

import (
	"net/netip"
	"slices"
	"strconv"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/run/plan/option"
	"rl/slirp"
	"rl/userns/sys/fault"
)

// maxPorts bounds the sockets of one container: each port has up to two, and
// RLIMIT_NOFILE is often 16384.
const maxPorts = 4096

// publish lists the ports to bind: those asked for, and with --publish-all every
// exposed one that is not among them.
func (n *Net) publish(image *v1.ImageConfig, f *Flags) error {
	n.Publish = append(n.Publish, f.Publish...)
	if f.PublishAll {
		done := map[option.Port]bool{}
		for _, p := range f.Publish {
			done[option.Port{Proto: p.Proto, Port: p.ContainerPort}] = true
		}
		for _, p := range n.exposed(image, f) {
			if !done[p] {
				done[p] = true
				n.Publish = append(n.Publish, option.Publish{Proto: p.Proto, ContainerPort: p.Port})
			}
		}
	}
	if len(n.Publish) > maxPorts {
		return fault.New("--network host opens all ports", "%d ports to publish: at most %d are possible", len(n.Publish), maxPorts)
	}
	type key struct {
		proto string
		port  uint16
	}
	taken := map[key][]netip.Addr{}
	for _, p := range n.Publish {
		n.Config.Ports = append(n.Config.Ports, slirp.Port{Proto: p.Proto, HostIP: p.HostIP, HostPort: p.HostPort, ContainerPort: p.ContainerPort})
		if p.HostPort == 0 || p.HostEnd > p.HostPort {
			continue // a free one is taken
		}
		k := key{p.Proto, p.HostPort}
		for _, ip := range taken[k] {
			if meet(ip, p.HostIP) {
				return fault.New("give each its own port of the host", "conflicting port mappings for host port %d (protocol %s)", p.HostPort, p.Proto)
			}
		}
		taken[k] = append(taken[k], p.HostIP)
	}
	return nil
}

// exposed are the ports that the image and --expose name. What an image says is
// not the user's mistake: nonsense is left out.
func (n *Net) exposed(image *v1.ImageConfig, f *Flags) []option.Port {
	var list []option.Port
	for _, s := range sorted(image.ExposedPorts) {
		ports, err := option.ParseExpose(s)
		if err != nil {
			n.Notices = append(n.Notices, "the image's "+err.Error()+": not published")
			continue
		}
		list = append(list, ports...)
	}
	return append(list, f.Expose...)
}

// Exposed are the ports that the image and --expose name, as they are written, which may be
// ranges: what is shown of them. More than anybody means is left out.
func Exposed(image *v1.ImageConfig, f *Flags) (list []string) {
	const most = 64
	for _, s := range sorted(image.ExposedPorts) {
		if _, err := option.ParseExpose(s); err == nil && len(list) < most {
			list = append(list, s)
		}
	}
	for _, p := range f.Expose {
		if s := strconv.Itoa(int(p.Port)) + "/" + p.Proto; len(list) < 2*most && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// meet tells whether two sockets of one port could not both be bound.
func meet(a, b netip.Addr) bool {
	switch {
	case !a.IsValid() || !b.IsValid():
		return true
	case a.Is4() != b.Is4():
		return false
	}
	return a == b || a.IsUnspecified() || b.IsUnspecified()
}
