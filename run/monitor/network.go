package monitor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"rl/slirp"
	"rl/slirp/external"
	"rl/slirp/publish"
	"rl/slirp/tap"
)

// network is what the monitor does for the container's network.
type network struct {
	ns       *tap.Namespace // the container's; nil when init has one of its own without devices, or the host's
	files    []*os.File     // donated: leases of addresses, then the sockets of published ports
	stack    *slirp.Network
	outer    *external.Process // in place of the stack
	stopping atomic.Bool
	change   sync.Mutex // of who connects a further network
	ports    *publish.Server
	cancel   context.CancelFunc
}

// startNetwork makes the devices and puts the stack behind them. It does nothing
// for a container without.
func (m *monitor) startNetwork() error {
	c := m.conf.Network
	if c == nil {
		return nil
	}
	if m.conf.Program != nil {
		if err := m.startProgram(); err != nil {
			return fmt.Errorf("set up the network: %w", err)
		}
		return m.publish()
	}
	taps, err := m.devices(0, c.Interfaces)
	if err == nil {
		m.net.stack, err = slirp.Start(c, taps)
	}
	if err != nil {
		return fmt.Errorf("set up the network: %w", err)
	}
	return m.publish()
}

// startProgram has another program make the container's device.
func (m *monitor) startProgram() error {
	netns, err := m.net.ns.File()
	if err != nil {
		return err
	}
	defer netns.Close()
	p := m.conf.Program
	m.net.outer, err = external.Start(context.Background(), p.Kind, netns, p.Options)
	if err != nil {
		return err
	}
	outer := m.net.outer
	go func() {
		<-outer.Done()
		if err := outer.Err(); err != nil && !m.net.stopping.Load() {
			m.notice("the container has no network any more: " + err.Error())
		}
	}()
	return nil
}

// devices makes and configures the container's network devices. The default
// routes of the first win: first is their number.
func (m *monitor) devices(first int, list []slirp.Interface) ([]slirp.Tap, error) {
	taps := make([]slirp.Tap, 0, len(list))
	err := m.net.ns.Do(func() error {
		for k, i := range list {
			t, err := device(i, first+k)
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
func device(i slirp.Interface, number int) (slirp.Tap, error) {
	d, err := tap.Open(i.Name)
	if err != nil {
		return slirp.Tap{}, err
	}
	err = tap.Configure(tap.Interface{Name: i.Name, MAC: i.MAC, MTU: i.MTU, Addrs: i.Addrs, Gateways: i.Gateways, Metric: uint32(number)})
	if err != nil {
		return slirp.Tap{}, errors.Join(err, tap.Remove(d.File))
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
	if m.net.outer != nil && len(addrs) == 0 {
		var err error
		if addrs, err = m.addresses(); err != nil {
			return err
		}
	}
	sockets := publish.NewSockets(m.net.ns, addrs, gateways, subnets)
	sockets.Notice = m.notice
	ctx, cancel := context.WithCancel(context.Background())
	m.net.cancel = cancel
	var err error
	m.net.ports, err = publish.Serve(ctx, bound, sockets)
	return err
}

// addresses are what another program gave the container: pasta copies the host's.
func (m *monitor) addresses() (list []netip.Addr, err error) {
	err = m.net.ns.Do(func() error {
		all, err := net.InterfaceAddrs()
		for _, a := range all {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsGlobalUnicast() {
				list = append(list, p.Addr())
			}
		}
		return err
	})
	return list, err
}

func (m *monitor) stopNetwork() error {
	m.net.stopping.Store(true)
	if m.net.cancel != nil {
		m.net.cancel()
	}
	if m.net.outer != nil {
		return m.net.outer.Close()
	}
	if m.net.stack == nil {
		return nil
	}
	return m.net.stack.Close()
}
