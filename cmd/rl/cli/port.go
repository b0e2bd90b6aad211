package cli

import (
	"cmp"
	"net/netip"
	"slices"

	"rl/run/plan/option"
	"rl/run/state"
	"rl/userns/sys/fault"
)

type portCmd struct {
	Container string `arg:"" predictor:"container" help:"Name or id of the container."`
	Port      string `arg:"" optional:"" help:"Port of the container: PORT[/PROTO]."`
}

// Run prints docker's lines: "80/tcp -> 0.0.0.0:8080", or of one port only where
// it is. A container that ended has no ports.
func (c *portCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	rec, err := e.State.Find(c.Container)
	if err != nil {
		return err
	}
	if !e.State.Running(rec.ID) {
		rec.Ports = nil
	}
	if c.Port == "" {
		for _, p := range spread(rec.Ports) {
			a.printf("%d/%s -> %s\n", p.ContainerPort, p.Proto, netip.AddrPortFrom(p.HostIP, p.HostPort))
		}
		return nil
	}
	want, err := option.ParsePort(c.Port)
	if err != nil {
		return err
	}
	found := false
	for _, p := range spread(rec.Ports) {
		if p.ContainerPort == want.Port && p.Proto == want.Proto {
			found = true
			a.println(netip.AddrPortFrom(p.HostIP, p.HostPort))
		}
	}
	if !found {
		return fault.New("`rl port "+rec.Name+"` lists what there is", "no public port '%d/%s' published for %s", want.Port, want.Proto, rec.Name)
	}
	return nil
}

// spread lists ports in order, one on every address as docker does: by family.
func spread(ports []state.PublishedPort) []state.PublishedPort {
	var list []state.PublishedPort
	for _, p := range ports {
		if p.HostIP.IsValid() {
			list = append(list, p)
			continue
		}
		for _, ip := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			p.HostIP = ip
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b state.PublishedPort) int {
		return cmp.Or(cmp.Compare(a.ContainerPort, b.ContainerPort), cmp.Compare(a.Proto, b.Proto), a.HostIP.Compare(b.HostIP), cmp.Compare(a.HostPort, b.HostPort))
	})
	return list
}
