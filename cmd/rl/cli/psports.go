package cli

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"rl/run/plan/option"
	"rl/run/state"
)

// shownPort is a port of a container in a list: published on an address of the host, or only
// exposed, without one.
type shownPort struct {
	ip         netip.Addr
	host, port uint16
	proto      string
}

// shownPorts are the published ports by number, and those that are exposed and not published.
func shownPorts(rec *state.Record) (list []shownPort) {
	done := map[option.Port]bool{}
	for _, p := range spread(rec.Ports) {
		list = append(list, shownPort{p.HostIP, p.HostPort, p.ContainerPort, p.Proto})
		done[option.Port{Proto: p.Proto, Port: p.ContainerPort}] = true
	}
	var exposed []shownPort
	for _, text := range rec.Exposed {
		ports, _ := option.ParseExpose(text)
		for _, p := range ports {
			if !done[p] {
				done[p] = true
				exposed = append(exposed, shownPort{port: p.Port, proto: p.Proto})
			}
		}
	}
	slices.SortFunc(exposed, func(a, b shownPort) int { return cmp.Or(cmp.Compare(a.port, b.port), cmp.Compare(a.proto, b.proto)) })
	return append(list, exposed...)
}

// portColumn is docker's column PORTS: what follows one another on the same address, and has
// the same number outside, is a range.
func portColumn(list []shownPort) string {
	type group struct {
		first, last shownPort
	}
	var groups []*group
	var done, mapped []string
	for _, p := range list {
		if p.ip.IsValid() && p.host != p.port {
			mapped = append(mapped, netip.AddrPortFrom(p.ip, p.host).String()+"->"+strconv.Itoa(int(p.port))+"/"+p.proto)
			continue
		}
		var g *group
		for _, have := range groups {
			if have.first.ip == p.ip && have.first.proto == p.proto {
				g = have
			}
		}
		switch {
		case g == nil:
			groups = append(groups, &group{p, p})
		case p.port == g.last.port+1:
			g.last = p
		default:
			done = append(done, portGroup(g.first, g.last))
			g.first, g.last = p, p
		}
	}
	for _, g := range groups {
		done = append(done, portGroup(g.first, g.last))
	}
	return strings.Join(append(done, mapped...), ", ")
}

func portGroup(first, last shownPort) string {
	text := strconv.Itoa(int(first.port))
	if first.port != last.port {
		text += "-" + strconv.Itoa(int(last.port))
	}
	if first.ip.IsValid() {
		host := first.ip.String()
		if first.ip.Is6() {
			host = "[" + host + "]"
		}
		text = host + ":" + text + "->" + text
	}
	return text + "/" + first.proto
}
