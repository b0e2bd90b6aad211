package publish

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Thread runs functions on an OS thread that is in the container's network
// namespace, one at a time: tap.Namespace.
type Thread interface {
	Do(f func() error) error
}

// Sockets is Inside by kernel sockets made in the container's network namespace.
type Sockets struct {
	// Notice is told, once, that clients' addresses are lost, and why. May be nil.
	Notice func(text string)

	addrs    []netip.Addr
	gateways []netip.Addr
	networks []netip.Prefix
	stock    stock

	prepare func() (*routes, error) // once, with the first connection
	lose    sync.Once

	mu      sync.Mutex
	flows   map[flow]bool       // UDP sockets that are bound to their client's port
	refused map[uint16]refusing // by port
}

// A flow is what makes a UDP socket inside unlike any other.
type flow struct {
	from netip.AddrPort
	port uint16
}

// refusing is where nobody listened for datagrams.
type refusing struct {
	addr netip.Addr
	when time.Time
}

// NewSockets makes connections to a container that has these addresses, the first
// of each family being the one that is dialled. The gateways stand for clients
// whose own address cannot be used inside: those in networks are, besides
// loopback and link-local ones.
func NewSockets(ns Thread, addrs, gateways []netip.Addr, networks []netip.Prefix) *Sockets {
	s := &Sockets{addrs: addrs, gateways: gateways, networks: networks, flows: map[flow]bool{}, refused: map[uint16]refusing{}}
	s.stock = stock{ns: ns, kept: map[kind][]int{}}
	s.prepare = sync.OnceValues(func() (*routes, error) { return openRoutes(ns) })
	return s
}

// Close ends what is kept for connections to come; those that are there stay.
func (s *Sockets) Close() error {
	s.stock.close()
	if routes, err := s.prepare(); err == nil {
		routes.close()
	}
	return nil
}

// DialTCP connects to a port of the container. When nobody listens on the address of
// the client's family, the other is tried: many a server listens on 0.0.0.0 only,
// and localhost is ::1 first.
func (s *Sockets) DialTCP(ctx context.Context, client netip.AddrPort, port uint16) (net.Conn, error) {
	err := error(unix.ENETUNREACH)
	for _, dst := range s.destinations(client.Addr()) {
		var c net.Conn
		c, err = s.dial(ctx, unix.IPPROTO_TCP, client, netip.AddrPortFrom(dst, port))
		if !errors.Is(err, unix.ECONNREFUSED) {
			return c, err
		}
	}
	return nil, err
}

// DialUDP makes a connected UDP socket towards a port of the container. That nobody
// listens there is only known when something was sent; the next socket then goes to
// the other family.
func (s *Sockets) DialUDP(ctx context.Context, client netip.AddrPort, port uint16) (net.Conn, error) {
	list := s.destinations(client.Addr())
	if len(list) == 0 {
		return nil, unix.ENETUNREACH
	}
	dst, other := list[0], list[len(list)-1]
	s.mu.Lock()
	if s.refused[port].addr == dst {
		dst, other = other, dst
	}
	s.mu.Unlock()
	c, err := s.dial(ctx, unix.IPPROTO_UDP, client, netip.AddrPortFrom(dst, port))
	if udp, ok := c.(*udpConn); ok && dst != other {
		udp.move = func() bool { return s.move(port, dst) }
	}
	return c, err
}

// move has the next datagrams go to the other family, unless that was so a moment ago.
func (s *Sockets) move(port uint16, from netip.Addr) bool {
	const moment = 5 * time.Second
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, ok := s.refused[port]; ok && time.Since(last.when) < moment {
		return false
	}
	s.refused[port] = refusing{from, time.Now()}
	return true
}

// destinations are the container's addresses, at most one of a family, the one to
// try first at the front: that of the client's family, but IPv4 for a client whose
// address is lost in any case.
func (s *Sockets) destinations(client netip.Addr) []netip.Addr {
	want4 := client.Unmap().Is4() || s.foreign(client)
	var list []netip.Addr
	for _, four := range []bool{want4, !want4} {
		if i := slices.IndexFunc(s.addrs, func(a netip.Addr) bool { return a.Is4() == four }); i >= 0 {
			list = append(list, s.addrs[i])
		}
	}
	return list
}

// foreign reports whether a client's address means nothing, or somebody else, inside.
func (s *Sockets) foreign(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || a.Zone() != "" ||
		slices.ContainsFunc(s.networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// seen is whom the container shall see; invalid where no gateway can stand for the
// client. Clients that share an address get a port each.
func (s *Sockets) seen(client netip.AddrPort, dst netip.Addr) netip.AddrPort {
	a := client.Addr().Unmap()
	if a.Is4() == dst.Is4() && !s.foreign(a) {
		return netip.AddrPortFrom(a, client.Port())
	}
	for _, g := range s.gateways {
		if g.Is4() == dst.Is4() {
			return netip.AddrPortFrom(g, 0)
		}
	}
	return netip.AddrPort{}
}

// dial connects as the client, or as the container itself when that cannot be.
func (s *Sockets) dial(ctx context.Context, proto int, client, dst netip.AddrPort) (net.Conn, error) {
	src, release := s.become(proto, client, dst)
	fd, err := s.socket(proto, src, dst)
	if err != nil {
		release()
		return nil, err
	}
	c, err := wrap(ctx, fd, release)
	if err != nil {
		release()
		return nil, err
	}
	return c, nil
}

// become prepares to be the client: the way back to its address, and on UDP the
// claim on its port. An invalid address says that it cannot be.
func (s *Sockets) become(proto int, client, dst netip.AddrPort) (src netip.AddrPort, release func()) {
	nothing := func() {}
	src = s.seen(client, dst.Addr())
	if !src.IsValid() {
		return src, nothing
	}
	routes, err := s.prepare()
	if err != nil {
		s.lost(err)
		return netip.AddrPort{}, nothing
	}
	way, err := routes.acquire(proto, src.Addr(), dst.Addr(), dst.Port())
	if err != nil {
		s.lost(err)
		return netip.AddrPort{}, nothing
	}
	release = func() { routes.release(way) }
	if proto != unix.IPPROTO_UDP || src.Port() == 0 {
		return src, release
	}
	// Two UDP sockets with the same addresses and ports are possible, and one of them
	// would get it all. They happen when a client sends to two addresses of the host.
	f := flow{src, dst.Port()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flows[f] {
		return netip.AddrPortFrom(src.Addr(), 0), release
	}
	s.flows[f] = true
	return src, func() {
		s.mu.Lock()
		delete(s.flows, f)
		s.mu.Unlock()
		routes.release(way)
	}
}

// lost tells that clients' addresses are.
func (s *Sockets) lost(why error) {
	s.lose.Do(func() {
		if s.Notice != nil {
			s.Notice("published ports: the container sees its own address instead of the clients': " + why.Error())
		}
	})
}
