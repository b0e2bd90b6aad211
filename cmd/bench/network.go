package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// The networks that are compared. rl starts slirp4netns and pasta as they are,
// for its own containers: nothing but the network differs.
const (
	netRl     = "rl"
	netSlirp  = "slirp4netns"
	netPasta  = "pasta"
	netPodman = "podman"
	netHost   = "host loopback"
)

var networks = []string{netRl, netSlirp, netPasta, netPodman, netHost}

// netbench is what the rows of this part share.
type netbench struct {
	*bench
	self   string   // this program, mounted as /bench
	iperf  []string // mounts
	lacks  string   // why there is no iperf3
	own    string   // the host's own address, or empty
	rounds int
}

// limit of one measurement, a container's start and end included.
const netLimit = 45 * time.Second

func (b *bench) network() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n := &netbench{bench: b, self: self, rounds: max(3, b.o.rounds/8)}
	if n.iperf, err = iperfMounts(b.rootfs); err != nil {
		n.lacks = err.Error()
	}
	if a, ok := ownAddress(); ok {
		n.own = a.String()
	}
	for _, p := range [][]string{{"slirp4netns", "--version"}, {"pasta", "--version"}, {"iperf3", "--version"}} {
		if has(p[0]) {
			b.note(p...)
		}
	}
	for _, mtu := range []int{0, 1500} {
		goals := []against{{netSlirp, 1.5}, {netPasta, 1}}
		name := "default MTU"
		if mtu > 0 {
			goals, name = []against{{netSlirp, 2}}, fmt.Sprintf("MTU %d", mtu)
		}
		n.bulk("TCP out, "+name, mtu, goals)
		n.bulk("TCP in, "+name, mtu, goals, "-R")
	}
	n.published()
	n.load(&row{what: "TCP round trip of a byte", unit: "µs", scale: 1e6, goals: []against{{netSlirp, 1.2}}}, "rtt", farEcho)
	n.load(&row{what: "UDP out, 64 bytes", unit: "1,000/s", scale: 1e-3, more: true, goals: []against{{netSlirp, 1}}}, "udp-send", farCount)
	n.load(&row{what: "UDP in, 64 bytes", unit: "1,000/s", scale: 1e-3, more: true, goals: []against{{netSlirp, 1}}}, "udp-recv", farBlast)
	n.load(&row{what: fmt.Sprintf("%d HTTP requests", requests), unit: "s", scale: 1, goals: []against{{netPasta, 1}}}, "http", farHTTP)
	return nil
}

// monitor is what a network costs that is not used.
func (b *bench) monitor() error {
	if err := b.setUp(); err != nil {
		return err
	}
	return b.idle()
}

// inside is a command line that runs args in a container of that network, and
// the address at which such a container reaches the host.
func (n *netbench) inside(network string, mtu int, args []string) (line []string, host string, lack string) {
	host = n.own
	options := []string{}
	if mtu > 0 {
		options = append(options, "mtu="+strconv.Itoa(mtu))
	}
	if host == "" { // then the gateway is the host's loopback
		host = "GATEWAY"
		options = append(options, "allow_host_loopback=true")
	}
	value := func(mode string) string {
		if len(options) == 0 {
			return mode
		}
		return mode + ":" + strings.Join(options, ",")
	}
	mounts := append([]string{"-v", n.self + ":/bench:ro"}, n.iperf...)
	line = append([]string{n.o.rl, "run", "--rm"}, mounts...)
	switch network {
	case netRl:
		line = append(line, "--network", value("slirp"))
	case netSlirp:
		line = append(line, "--network", value("slirp4netns"))
	case netPasta:
		// The container has the host's own address: only the gateway is the host.
		host = "GATEWAY"
		mode := "pasta:--map-gw"
		if mtu > 0 {
			mode += ",-m," + strconv.Itoa(mtu)
		}
		line = append(line, "--network", mode)
	case netPodman:
		line = append([]string{"podman", "run", "--rm", "--cgroups=disabled"}, mounts...)
		if len(options) > 0 {
			line = append(line, "--network", value("slirp4netns"))
		}
	case netHost:
		line, host = nil, "127.0.0.1"
	}
	if network != netHost {
		line = append(line, n.refs["debian"], "/bench")
	} else {
		line = []string{n.self}
	}
	if program := network; network != netRl && network != netHost && !has(program) {
		lack = program + " is not installed"
	}
	return append(append(line, "-load"), args...), host, lack
}

// each measures a row in every network. What HOST stands for in args is the
// host's address there, and its port follows.
func (n *netbench) each(r *row, mtu int, args []string, start func() (*far, error), value func(out string) (float64, error), lack string) {
	var list []runner
	for _, network := range networks {
		_, host, why := n.inside(network, mtu, nil)
		if lack != "" {
			why = lack
		}
		list = append(list, runner{name: network, lack: why, do: func() (v float64, err error) {
			f, err := start()
			if err != nil {
				return 0, err
			}
			defer func() { err = errors.Join(err, f.stop()) }()
			var own []string
			for _, a := range args {
				a = strings.ReplaceAll(a, "HOST", host)
				own = append(own, strings.ReplaceAll(a, "PORT", strconv.Itoa(f.port)))
			}
			line, _, _ := n.inside(network, mtu, own)
			out, err := say(netLimit, line...)
			if err != nil {
				return 0, err
			}
			if f.rate != nil {
				return f.rate()
			}
			return value(out)
		}})
	}
	r.measure(n.rounds, list)
	n.nets = append(n.nets, r)
}

// bulk is iperf3, one connection for two seconds; with -R the host sends.
func (n *netbench) bulk(what string, mtu int, goals []against, more ...string) {
	args := append([]string{"exec", "iperf3", "-c", "HOST", "-p", "PORT", "-t", "2", "-J"}, more...)
	r := &row{what: what, unit: "Gbit/s", scale: 1e-9, more: true, goals: goals}
	n.each(r, mtu, args, farIperf, iperfBits, n.lacks)
}

func (n *netbench) load(r *row, verb string, start func() (*far, error)) {
	n.each(r, 0, []string{verb, "HOST:PORT"}, start, func(out string) (float64, error) {
		return strconv.ParseFloat(strings.TrimSpace(out), 64)
	}, "")
}

// published is the way in: iperf3's server is in the container, at a published
// port, and its client on the host.
func (n *netbench) published() {
	r := &row{what: "TCP to a published port", unit: "Gbit/s", scale: 1e-9, more: true, goals: []against{{netPodman, 0.9}}}
	var list []runner
	for _, network := range []string{netRl, netPodman, netHost} {
		_, _, lack := n.inside(network, 0, nil)
		if n.lacks != "" {
			lack = n.lacks
		}
		list = append(list, runner{name: network, lack: lack, do: func() (float64, error) {
			port, err := freePort()
			if err != nil {
				return 0, err
			}
			line := []string{"iperf3", "-s", "-p", strconv.Itoa(port)}
			if network != netHost {
				line = []string{n.o.rl, "run", "--rm", "--network", "slirp"}
				if network == netPodman {
					line = []string{"podman", "run", "--rm", "--cgroups=disabled"}
				}
				line = append(line, n.iperf...)
				line = append(line, "-p", fmt.Sprintf("127.0.0.1:%d:5201", port), n.refs["debian"], "iperf3", "-s")
			}
			_, stop, err := background(line...)
			if err != nil {
				return 0, err
			}
			defer func() { _ = stop() }()
			return retryIperf(port)
		}})
	}
	r.measure(n.rounds, list)
	n.nets = append(n.nets, r)
}

// retryIperf measures as soon as there is somebody. With -J iperf3 says in its
// report, not by its status, that nobody is there yet.
func retryIperf(port int) (float64, error) {
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, err := say(netLimit, "iperf3", "-c", "127.0.0.1", "-p", strconv.Itoa(port), "-t", "2", "-J")
		var v float64
		if err == nil {
			v, err = iperfBits(out)
		}
		if err == nil || time.Now().After(deadline) {
			return v, err
		}
	}
}

// reportNetwork is the section of docs/benchmarks.md.
func (b *bench) reportNetwork(p *printer) {
	if len(b.nets) > 0 {
		b.reportNets(p)
	}
	if len(b.setUps) > 0 {
		p.table("Set-up of a network: `run --rm` of `true`", b.setUps, setUpNone, 1e3, "ms", false)
	}
	if b.monitors.alone > 0 {
		p.f("## A monitor with a network, and no traffic\n\nA page that several processes share counts in each by its share (PSS); a container's monitor has its `rl run` beside it.\n\n| | |\n|---|---|\n")
		p.f("| memory, one container | %.1f MB |\n| memory each, among %d | %.1f MB |\n", b.monitors.alone/1e6, idleMany, b.monitors.among/1e6)
		p.f("| processor time in %.0f s | %.2f ms |\n\n", idleTime.Seconds(), b.monitors.cpu*1e3)
	}
}

func (b *bench) reportNets(p *printer) {
	p.f("## Network\n\n")
	p.f("Containers of the same image, the host at its own address or through the gateway: nothing leaves the machine. ")
	p.f("slirp4netns and pasta are Debian's, started by rl for its own containers; podman has the network that it chooses itself. ")
	p.f("Behind a figure: rl's over that.\n\n")
	p.f("- out and in are seen from the container; TCP is iperf3, one connection for 2 s, as the receiver saw it; the default MTU is each program's own (65520)\n")
	p.f("- a published port: the client on the host, the server in the container; podman's is rootlessport\n")
	p.f("- a round trip is one byte to the host and back on an open connection, the median of a second\n")
	p.f("- UDP is counted where it arrives, one thread sending as fast as it can for a second\n")
	p.f("- HTTP requests come one after the other, each on a connection of its own\n\n")
	p.rows(networks, b.nets)
}
