package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"rl/run/monitor"
	"rl/run/network"
	"rl/run/plan"
	"rl/run/state"
	"rl/slirp"
	"rl/slirp/external"
	"rl/slirp/publish"
	"rl/userns/probe"
	"rl/userns/sys"
)

// connection is what the front takes for a container's network, in the caller's
// own name, and hands to the monitor: addresses in user-defined networks, and ports
// of the host.
type connection struct {
	leases  []*network.Lease
	bound   []publish.Bound
	control string      // the monitor's socket for commands; "" for none
	other   *plan.Other // what is known of whose network is shared
}

// stacked tells whether the network is rl's own stack.
func stacked(rung string) bool {
	return rung == string(probe.NetSlirp) || rung == string(probe.NetNamed)
}

// connected tells whether the monitor makes the network namespace, to have devices
// made in it.
func connected(rung string) bool {
	return stacked(rung) || rung == string(probe.NetPasta) || rung == string(probe.NetSlirp4netns)
}

// outer is the program that connects the container, if that is not the stack.
func (p *preparation) outer() *monitor.Program {
	c := p.net.Config
	switch probe.Rung(p.network) {
	case probe.NetPasta:
		return &monitor.Program{Kind: external.Pasta, Options: external.Options{Path: p.program, DNS: plan.PastaDNS, Extra: p.Flags.Network.Extra}}
	case probe.NetSlirp4netns:
		i := c.Interfaces[0]
		return &monitor.Program{Kind: external.Slirp4netns, Options: external.Options{Path: p.program, Name: i.Name, MTU: i.MTU, MAC: i.MAC,
			Subnet: i.Addrs[0].Masked(), IPv6: len(i.Addrs) > 1, HostLoopback: c.HostLoopback}}
	}
	return nil
}

// names are what a container that shares this one's network has to be called.
func (p *preparation) names() monitor.Names {
	n := monitor.Names{Hostname: p.plan.Spec.Hostname}
	for _, f := range p.plan.Files {
		switch f.Name {
		case "resolv.conf":
			n.Resolv = []byte(f.Data)
		case "hosts":
			n.Hosts = []byte(f.Data)
		}
	}
	return n
}

// lease takes an address in each user-defined network that was named.
func (p *preparation) lease() (joined []plan.Membership, err error) {
	if p.network != string(probe.NetNamed) {
		return nil, nil
	}
	store, err := p.networks()
	if err != nil {
		return nil, err
	}
	for _, m := range p.Flags.Network.Members {
		l, err := store.Lease(m.Network, network.Want{IP: m.IP, IP6: m.IP6, MAC: m.MAC}, p.rec.ID, p.Flags.Name)
		if err != nil {
			return nil, err
		}
		p.conn.leases = append(p.conn.leases, l)
		joined = append(joined, membership(l))
	}
	return joined, nil
}

func membership(l *network.Lease) plan.Membership {
	n := l.Network
	return plan.Membership{Network: n.Name, IP: l.IP, IP6: l.IP6, Subnet: n.Subnet, Subnet6: n.Subnet6,
		Gateway: n.Gateway, Gateway6: n.Gateway6, Internal: n.Internal, MTU: n.MTU, Dir: l.Dir}
}

// bind takes the ports to be published, all or none, and notes which they are.
func (p *preparation) bind(net *plan.Net) error {
	for i, want := range net.Publish {
		b, err := p.bindOne(publish.Port{Proto: want.Proto, HostIP: want.HostIP, HostPort: want.HostPort, ContainerPort: want.ContainerPort}, want.HostEnd)
		if err != nil {
			return err
		}
		p.conn.bound = append(p.conn.bound, b)
		net.Config.Ports[i].HostPort, net.Config.Ports[i].Files = b.HostPort, len(b.Files)
		p.rec.Ports = append(p.rec.Ports, state.PublishedPort{Proto: b.Proto, HostIP: b.HostIP, HostPort: b.HostPort, ContainerPort: b.ContainerPort})
	}
	return nil
}

// bindOne takes a port, or the first free one up to end.
func (p *preparation) bindOne(want publish.Port, end uint16) (publish.Bound, error) {
	for {
		b, err := publish.Bind([]publish.Port{want})
		if err == nil {
			return b[0], nil
		}
		if want.HostPort >= end || want.HostPort == 0 || !errors.Is(err, publish.ErrInUse) {
			return publish.Bound{}, err
		}
		want.HostPort++
	}
}

// name adds a name that was made up only now.
func (c *connection) name(conf *slirp.Config, name string) {
	if conf == nil {
		return
	}
	for _, i := range conf.Interfaces {
		if i.LAN != nil && !slices.Contains(i.LAN.Names, name) {
			i.LAN.Names = append(i.LAN.Names, name)
		}
	}
}

// listenAt decides where the monitor listens for commands.
func (p *preparation) listenAt() (err error) {
	p.conn.control, err = p.controlOf(p.rec.ID)
	return err
}

// controlOf is where the monitor of a container listens.
func (e *Engine) controlOf(id string) (string, error) {
	dir, err := probe.Runtime(e.Facts)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir.Path, monitor.ControlName(id)), nil
}

// donate hands the files to the monitor, which waits for its config after them.
func (p *preparation) donate() error {
	files := append(p.streams.files(), p.conn.files()...)
	for len(files) > 0 {
		some := files[:min(len(files), sys.MaxRights)]
		files = files[len(some):]
		fds := make([]int, len(some))
		for i, f := range some {
			if err := control(f, func(fd int) { fds[i] = fd }); err != nil {
				return err
			}
		}
		if err := p.child.Socket.Send([]byte{monitor.MsgFiles}, fds...); err != nil {
			return fmt.Errorf("hand the network's files to the monitor: %w", err)
		}
	}
	return nil
}

// control calls f with a file's descriptor, which stays as it is: Fd would make
// it blocking, for the monitor too.
func control(file *os.File, f func(fd int)) error {
	c, err := file.SyscallConn()
	if err != nil {
		return err
	}
	return c.Control(func(fd uintptr) { f(int(fd)) })
}

func (c *connection) leaseFiles() int {
	n := 0
	for _, l := range c.leases {
		n += len(l.Files)
	}
	return n
}

func (c *connection) files() (all []*os.File) {
	for _, l := range c.leases {
		all = append(all, l.Files...)
	}
	for _, b := range c.bound {
		all = append(all, b.Files...)
	}
	return all
}

// close gives up this process's part: all of it, when the monitor has none.
func (c *connection) close() {
	for _, f := range c.files() {
		f.Close()
	}
	c.leases, c.bound = nil, nil
}
