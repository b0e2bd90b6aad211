package monitor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"rl/slirp"
	"rl/slirp/publish"
	"rl/slirp/tap"
)

// network is what the monitor does for the container's network.
type network struct {
	ns     *tap.Namespace // the container's; nil when init has one of its own without devices, or the host's
	files  []*os.File     // donated: leases of addresses, then the sockets of published ports
	stack  *slirp.Network
	ports  *publish.Server
	cancel context.CancelFunc
}

// startNetwork makes the devices and puts the stack behind them. It does nothing
// for a container without.
func (m *monitor) startNetwork() error {
	c := m.conf.Network
	if c == nil {
		return nil
	}
	taps, err := m.devices(c.Interfaces)
	if err == nil {
		m.net.stack, err = slirp.Start(c, taps)
	}
	if err != nil {
		return fmt.Errorf("set up the network: %w", err)
	}
	return m.publish()
}

// devices makes and configures the container's network devices.
func (m *monitor) devices(list []slirp.Interface) ([]slirp.Tap, error) {
	taps := make([]slirp.Tap, 0, len(list))
	err := m.net.ns.Do(func() error {
		for _, i := range list {
			t, err := device(i)
			if err != nil {
				return err
			}
			taps = append(taps, t)
		}
		return nil
	})
	return taps, err
}

// device makes one, in the calling thread's network namespace.
func device(i slirp.Interface) (slirp.Tap, error) {
	d, err := tap.Open(i.Name)
	if err != nil {
		return slirp.Tap{}, err
	}
	err = tap.Configure(tap.Interface{Name: i.Name, MAC: i.MAC, MTU: i.MTU, Addrs: i.Addrs, Gateways: i.Gateways})
	if err != nil {
		d.File.Close()
		return slirp.Tap{}, err
	}
	return slirp.Tap{File: d.File, Offload: d.Offload}, nil
}

// publish serves the published ports. Their sockets were made by the front, with
// its privileges; connections to the container are made in its namespace.
func (m *monitor) publish() error {
	c := m.conf.Network
	files := m.net.files[m.conf.Leases:]
	var bound []publish.Bound
	for _, p := range c.Ports {
		if p.Files > len(files) {
			return errors.New("a published port has no socket")
		}
		bound = append(bound, publish.Bound{Port: publish.Port{Proto: p.Proto, HostIP: p.HostIP, HostPort: p.HostPort, ContainerPort: p.ContainerPort}, Files: files[:p.Files]})
		files = files[p.Files:]
	}
	if len(bound) == 0 {
		return nil
	}
	var addrs, gateways []netip.Addr
	var subnets []netip.Prefix
	for _, i := range c.Interfaces {
		for _, a := range i.Addrs {
			addrs, subnets = append(addrs, a.Addr()), append(subnets, a.Masked())
		}
		gateways = append(gateways, i.Gateways...)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.net.cancel = cancel
	var err error
	m.net.ports, err = publish.Serve(ctx, bound, publish.NewSockets(m.net.ns, addrs, gateways, subnets))
	return err
}

func (m *monitor) stopNetwork() error {
	if m.net.cancel != nil {
		m.net.cancel()
	}
	if m.net.stack == nil {
		return nil
	}
	return m.net.stack.Close()
}
