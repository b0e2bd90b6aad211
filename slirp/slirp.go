package slirp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	gstack "gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	gudp "gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"rl/slirp/dns"
	"rl/slirp/forward"
	"rl/slirp/lan"
	"rl/slirp/link"
	"rl/slirp/stack"
	"rl/slirp/tap"
	"rl/userns/sys/fault"
)

// Network is a container's network while it works.
type Network struct {
	conf    *Config
	cancel  context.CancelFunc
	stack   *stack.Stack
	tcp     *forward.TCP
	udp     *forward.UDP
	icmp    *forward.ICMP
	relay   *dns.Server
	capture *capture

	mu    sync.Mutex // of who changes the view
	last  tcpip.NICID
	state atomic.Pointer[view]
}

// view is what a packet's way depends on. It is replaced, never changed.
type view struct {
	guard   *guard
	devices []*device
}

// device is one of the container's, seen from outside.
type device struct {
	Interface
	tap  *os.File
	nic  tcpip.NICID
	link *link.Endpoint
	wire *forward.Wire
	lan  *lan.LAN
	held []*os.File // leases
}

// Tap is an open tap device (see slirp/tap) for an interface of the
// configuration.
type Tap struct {
	File    *os.File // non-blocking; the network's from now on
	Offload bool
}

// Start puts a network behind the tap devices, one an interface, in order. Nothing
// is sent or received before that, and nothing of it blocks for long.
func Start(c *Config, taps []Tap) (*Network, error) {
	if len(taps) != len(c.Interfaces) {
		return nil, errors.New("a device is missing")
	}
	s, err := stack.New()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &Network{conf: c, cancel: cancel, stack: s}
	n.state.Store(&view{guard: newGuard(c, nil)})
	if c.Pcap != "" {
		if n.capture, err = newCapture(c.Pcap); err != nil {
			return nil, err
		}
	}
	shared := &forward.Net{Context: ctx, IsDNS: n.isDNS, Gateway: n.gateway, Wire: n.wire,
		Allow: func(to netip.AddrPort) (netip.AddrPort, error) { return n.state.Load().guard.allow(to) }}
	n.relay = dns.New(dns.Config{Upstreams: dns.HostResolvers(c.Resolv), Names: &names{n},
		Internal: func() bool { return n.state.Load().guard.internal }})
	n.tcp = &forward.TCP{Net: shared, DNS: n.relay.TCP}
	n.udp = &forward.UDP{Net: shared, DNS: func(q []byte, reply func([]byte)) { go n.relay.UDP(ctx, q, reply) }}
	n.icmp = &forward.ICMP{Net: shared}
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, n.tcp.Handler(s.Stack))
	s.SetTransportProtocolHandler(gudp.ProtocolNumber, n.reassembled)
	for i, t := range taps {
		if err := n.Attach(c.Interfaces[i], t, nil); err != nil {
			n.Close()
			return nil, err
		}
	}
	return n, nil
}

// Attach connects a device to the stack and, where it has one, to its
// user-defined network. The leases of its addresses are held as long as the device is
// there.
func (n *Network) Attach(i Interface, t Tap, leases []*os.File) (err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if i.LAN != nil && n.find(i.LAN.Network) >= 0 {
		return fault.New("", "the container is connected to the network %s already", i.LAN.Network)
	}
	d := &device{Interface: i, tap: t.File, nic: n.last + 1, held: leases}
	if d.link, err = link.New(t.File, t.Offload, i.MTU, GatewayMAC); err != nil {
		return err
	}
	d.wire = &forward.Wire{Link: d.link, MAC: i.MAC}
	d.link.Early = func(p *link.Packet) bool { return n.early(d, p) }
	if n.capture != nil {
		d.link.Seen = n.capture.frame
	}
	if err := d.join(); err != nil {
		return err
	}
	var addrs []netip.Addr
	for _, a := range i.Addrs {
		addrs = append(addrs, a.Addr())
	}
	if terr := n.stack.Attach(d.nic, d.link, unique(i.Gateways, i.DNS), addrs, i.MAC); terr != nil {
		return fmt.Errorf("connect %s to the network stack: %s", i.Name, terr)
	}
	n.last++
	n.look(append(slices.Clone(n.devices()), d))
	go d.link.Serve()
	return nil
}

// Detach takes the device of a user-defined network away.
func (n *Network) Detach(network string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.devices()
	i := n.find(network)
	if i < 0 {
		return fault.New("", "the container is not connected to the network %s", network)
	}
	d := list[i]
	n.look(slices.Delete(slices.Clone(list), i, i+1))
	n.stack.RemoveNIC(d.nic)
	return errors.Join(d.leave(), tap.Remove(d.tap))
}

func (n *Network) devices() []*device { return n.state.Load().devices }

// find is the place of a user-defined network's device, -1 when there is none.
func (n *Network) find(network string) int {
	return slices.IndexFunc(n.devices(), func(d *device) bool { return d.LAN != nil && d.LAN.Network == network })
}

// FreeName is a name that no device of the network has: eth and a number, which is
// the order of their default routes, too.
func (n *Network) FreeName() (name string, number int) {
	for {
		name = fmt.Sprintf("eth%d", number)
		if !slices.ContainsFunc(n.devices(), func(d *device) bool { return d.Name == name }) {
			return name, number
		}
		number++
	}
}

// look makes what is decided by the devices fit to them.
func (n *Network) look(list []*device) {
	n.state.Store(&view{guard: newGuard(n.conf, list), devices: list})
}

// join makes the device a member of its user-defined network.
func (d *device) join() (err error) {
	if d.LAN == nil {
		return nil
	}
	self := lan.Member{ID: d.LAN.ID, Names: d.LAN.Names, MAC: d.MAC}
	for _, a := range d.Addrs {
		if a.Addr().Is4() {
			self.IP4 = a.Addr()
		} else {
			self.IP6 = a.Addr()
		}
	}
	if d.lan, err = lan.Join(d.LAN.Dir, self, d.tap); err != nil {
		return fmt.Errorf("join the network %s: %w", d.LAN.Network, err)
	}
	d.link.Switch = d.lan.Forward
	return nil
}

// leave gives up what is the device's beside itself.
func (d *device) leave() (err error) {
	if d.lan != nil {
		err = d.lan.Close()
	}
	for _, f := range d.held {
		err = errors.Join(err, f.Close())
	}
	return err
}

// early takes what the stack need not see: datagrams and echo requests.
func (n *Network) early(d *device, p *link.Packet) bool {
	switch {
	case p.Transport == header.UDPProtocolNumber && !p.Fragment:
		n.udp.Packet(d.wire, p.Src, p.Dst, p.Payload)
		return true
	case p.Transport == header.UDPProtocolNumber || n.own(p.Dst) && !neighbour(p):
		return false
	case p.Fragment:
		return true // the stack would answer for the world: better nobody does
	default:
		return n.icmp.Packet(d.wire, p.Src, p.Dst, p.Payload) || !p.Dst.IsMulticast() && p.Transport == header.ICMPv4ProtocolNumber
	}
}

// neighbour tells whether a packet is an echo request to a link-local address: those
// of the container's link are the container's, whatever the stack answers for.
func neighbour(p *link.Packet) bool {
	return p.Dst.IsLinkLocalUnicast() && !p.Fragment && len(p.Payload) > 0 && p.Payload[0] == byte(header.ICMPv6EchoRequest)
}

// reassembled takes a datagram that came in fragments.
func (n *Network) reassembled(id gstack.TransportEndpointID, pkt *gstack.PacketBuffer) bool {
	src, dst := addr(id.RemoteAddress), addr(id.LocalAddress)
	if w := n.wire(src); w != nil {
		segment := append(append([]byte(nil), pkt.TransportHeader().Slice()...), pkt.Data().AsRange().ToSlice()...)
		n.udp.Packet(w, src, dst, segment)
	}
	return true
}

// own tells whether an address is one that the stack has itself.
func (n *Network) own(a netip.Addr) bool {
	for _, d := range n.devices() {
		for _, g := range unique(d.Gateways, d.DNS) {
			if g == a {
				return true
			}
		}
	}
	return a.Is6() && (a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast()) // neighbour discovery
}

func (n *Network) isDNS(a netip.Addr) bool {
	for _, d := range n.devices() {
		for _, s := range d.DNS {
			if s == a {
				return true
			}
		}
	}
	return false
}

func (n *Network) gateway(of netip.Addr) netip.Addr {
	for _, d := range n.devices() {
		for _, g := range d.Gateways {
			if g.Is4() == of.Is4() {
				return g
			}
		}
	}
	return netip.Addr{}
}

// wire is the way to an address of the container.
func (n *Network) wire(a netip.Addr) *forward.Wire {
	for _, d := range n.devices() {
		for _, p := range d.Addrs {
			if p.Addr() == a {
				return d.wire
			}
		}
	}
	return nil
}

// Close ends all traffic.
func (n *Network) Close() error {
	n.cancel()
	var err error
	for _, d := range n.devices() {
		err = errors.Join(err, d.leave(), d.tap.Close())
	}
	n.udp.Close()
	n.icmp.Close()
	if n.capture != nil {
		err = errors.Join(err, n.capture.close())
	}
	return err
}

func unique(lists ...[]netip.Addr) []netip.Addr {
	var all []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, l := range lists {
		for _, a := range l {
			if !seen[a] {
				seen[a] = true
				all = append(all, a)
			}
		}
	}
	return all
}

func addr(a tcpip.Address) netip.Addr {
	r, _ := netip.AddrFromSlice(a.AsSlice())
	return r
}
