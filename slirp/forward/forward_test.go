package forward

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// A flood of connections that lead nowhere fills a table, which does not grow; when it
// has room again, connections are made again.
func TestSYNFlood(t *testing.T) {
	stuck := make(chan struct{})
	r := newRig(t, func(a netip.AddrPort) (netip.AddrPort, error) {
		if a.Addr() == world {
			<-stuck
		}
		return a, unix.ENETUNREACH
	})
	for i := range 3 * maxConnecting {
		r.send(syn(netip.AddrPortFrom(container, uint16(1024+i)), netip.AddrPortFrom(world, 80)))
	}
	until(t, "the flood does not arrive", func() bool { return r.tcp.active.Load() == maxConnecting })
	r.tcp.mu.Lock()
	if n := len(r.tcp.syns); n > maxConnecting {
		t.Errorf("%d connections are being made", n)
	}
	r.tcp.mu.Unlock()
	close(stuck)
	until(t, "connections are not forgotten", func() bool { return r.tcp.active.Load() == 0 })
	// The last of the flood may still be on its way in.
	until(t, "sequence numbers are left", func() bool {
		r.tcp.mu.Lock()
		defer r.tcp.mu.Unlock()
		return len(r.tcp.syns) == 0
	})
	r.drain()
	r.send(syn(netip.AddrPortFrom(container, 999), netip.AddrPortFrom(gateway, 80)))
	r.await(unreachable(header.ICMPv4NetUnreachable))
}

// More connections than there may be are reset.
func TestFullOfConnections(t *testing.T) {
	r := newRig(t, refuse(unix.ENETUNREACH))
	r.tcp.active.Store(maxConnections)
	r.send(syn(netip.AddrPortFrom(container, 1000), netip.AddrPortFrom(world, 80)))
	p := r.await(func(p header.IPv4) bool { return p.TransportProtocol() == header.TCPProtocolNumber })
	if f := header.TCP(p.Payload()).Flags(); f&header.TCPFlagRst == 0 {
		t.Errorf("flags %v, not a reset", f)
	}
	if n := r.tcp.active.Load(); n != maxConnections {
		t.Errorf("%d connections are counted", n)
	}
}

// What connect(2) said on the host is what the container is told.
func TestWhyNot(t *testing.T) {
	for _, c := range []struct {
		err  error
		code header.ICMPv4Code
	}{
		{unix.ENETUNREACH, header.ICMPv4NetUnreachable},
		{unix.EHOSTUNREACH, header.ICMPv4HostUnreachable},
		{unix.EACCES, header.ICMPv4AdminProhibited},
		{ErrProhibited, header.ICMPv4AdminProhibited},
	} {
		t.Run(fmt.Sprint(c.err), func(t *testing.T) {
			r := newRig(t, refuse(c.err))
			udp := &UDP{Net: r.net}
			icmp := &ICMP{Net: r.net}
			r.send(syn(netip.AddrPortFrom(container, 1000), netip.AddrPortFrom(world, 80)))
			r.await(unreachable(c.code))
			udp.Packet(r.wire, container, world, datagram(1000, 80, "x"))
			r.await(unreachable(c.code))
			icmp.Packet(r.wire, container, world, echo(1))
			r.await(unreachable(c.code))
			if len(udp.flows)+len(icmp.pings) != 0 {
				t.Error("what was refused is kept")
			}
		})
	}
}

func TestReason(t *testing.T) {
	for err, want := range map[error]Why{unix.EMSGSIZE: silent, unix.ETIMEDOUT: silent, unix.ECONNREFUSED: refused, ErrRefused: refused,
		unix.EADDRNOTAVAIL: NoNetwork, unix.EHOSTDOWN: NoHost, unix.EPERM: Prohibited, errors.New("other"): refused} {
		if got := reason(fmt.Errorf("wrapped: %w", err)); got != want {
			t.Errorf("%v: %d, not %d", err, got, want)
		}
	}
}

// server is a UDP socket of the loopback that answers, or does not.
func server(t *testing.T, answer bool) netip.AddrPort {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 65536)
		for {
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if answer {
				c.WriteToUDPAddrPort(b[:n], from)
			}
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestDatagrams(t *testing.T) {
	r := newRig(t, to(server(t, true)))
	udp := &UDP{Net: r.net}
	t.Cleanup(udp.Close)
	udp.Packet(r.wire, container, world, datagram(1000, 2000, "hello"))
	p := r.await(func(p header.IPv4) bool { return p.TransportProtocol() == header.UDPProtocolNumber })
	u := header.UDP(p.Payload())
	if p.SourceAddress().String() != world.String() || p.DestinationAddress().String() != container.String() ||
		u.SourcePort() != 2000 || u.DestinationPort() != 1000 || string(u.Payload()) != "hello" {
		t.Errorf("%v:%d to %v:%d: %q", p.SourceAddress(), u.SourcePort(), p.DestinationAddress(), u.DestinationPort(), u.Payload())
	}
	udp.mu.Lock()
	defer udp.mu.Unlock()
	if f := udp.flows[flowKey{netip.AddrPortFrom(container, 1000), netip.AddrPortFrom(world, 2000)}]; f == nil || !f.answered.Load() {
		t.Error("the flow is not known as answered")
	}
}

// Nobody listens: the container is told, and the flow is not the worse for it.
func TestRefusedDatagram(t *testing.T) {
	nobody := server(t, false)
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(nobody.Addr(), 0)))
	if err != nil {
		t.Fatal(err)
	}
	nobody = c.LocalAddr().(*net.UDPAddr).AddrPort()
	c.Close()
	r := newRig(t, to(nobody))
	udp := &UDP{Net: r.net}
	t.Cleanup(udp.Close)
	for range 100 {
		udp.Packet(r.wire, container, world, datagram(1000, 2000, "hello"))
		r.await(unreachable(header.ICMPv4PortUnreachable))
	}
}

// Lengths that lie are dropped.
func TestBadDatagrams(t *testing.T) {
	r := newRig(t, to(server(t, true)))
	udp := &UDP{Net: r.net}
	short := datagram(1, 2, "data")
	header.UDP(short).SetLength(7)
	long := datagram(1, 2, "data")
	header.UDP(long).SetLength(uint16(len(long) + 1))
	for _, b := range [][]byte{nil, short[:7], short, long} {
		udp.Packet(r.wire, container, world, b)
	}
	if len(udp.flows) != 0 {
		t.Error("a flow was made")
	}
	udp.Packet(r.wire, container, netip.MustParseAddr("224.0.0.251"), datagram(1, 5353, "x"))
	udp.Packet(r.wire, container, netip.MustParseAddr("255.255.255.255"), datagram(1, 67, "x"))
	if len(udp.flows) != 0 {
		t.Error("multicast or broadcast was carried")
	}
}

// filled is a UDP with a full table of flows, whose socket is closed.
func filled(t *testing.T, r *rig, answered bool) *UDP {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:9")))
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	udp := &UDP{Net: r.net, flows: map[flowKey]*flow{}, sweeping: true}
	for i := range maxFlows {
		f := &flow{udp: udp, key: flowKey{netip.AddrPortFrom(container, uint16(i)), netip.AddrPortFrom(world, 1)}, conn: c}
		f.answered.Store(answered)
		f.used.Store(now())
		udp.flows[f.key] = f
	}
	return udp
}

// How long a flow is kept depends on whether it was answered.
func TestFlowsExpire(t *testing.T) {
	r := newRig(t, to(server(t, false)))
	for _, c := range []struct {
		answered bool
		age      time.Duration
	}{{false, unansweredAge}, {true, answeredAge}} {
		udp := filled(t, r, c.answered)
		start := now()
		udp.expire(start + int64(c.age/time.Second))
		if len(udp.flows) != maxFlows {
			t.Errorf("answered %v: %d flows are left too early", c.answered, len(udp.flows))
		}
		udp.expire(start + int64(c.age/time.Second) + 2)
		if len(udp.flows) != 0 {
			t.Errorf("answered %v: %d flows are left", c.answered, len(udp.flows))
		}
	}
}

// In a full table what has no answer makes room; a conversation does not.
func TestFullOfFlows(t *testing.T) {
	r := newRig(t, to(server(t, false)))
	fresh := flowKey{netip.AddrPortFrom(container, 60000), netip.AddrPortFrom(world, 2000)}
	udp := filled(t, r, true)
	udp.Packet(r.wire, container, world, datagram(60000, 2000, "x"))
	if len(udp.flows) != maxFlows || udp.flows[fresh] != nil {
		t.Errorf("%d flows, the new one %v", len(udp.flows), udp.flows[fresh])
	}
	udp = filled(t, r, false)
	t.Cleanup(udp.Close)
	udp.Packet(r.wire, container, world, datagram(60000, 2000, "x"))
	if len(udp.flows) != maxFlows || udp.flows[fresh] == nil {
		t.Errorf("%d flows, the new one %v", len(udp.flows), udp.flows[fresh])
	}
}

// So many pings, and no more.
func TestFullOfPings(t *testing.T) {
	asked := false
	r := newRig(t, func(a netip.AddrPort) (netip.AddrPort, error) {
		asked = true
		return a, nil
	})
	icmp := &ICMP{Net: r.net, pings: map[pingKey]*ping{}}
	for i := range maxPings {
		icmp.pings[pingKey{container, world, uint16(i)}] = nil
	}
	if !icmp.Packet(r.wire, container, world, echo(60000)) || !asked || len(icmp.pings) != maxPings {
		t.Errorf("%d pings", len(icmp.pings))
	}
	if icmp.Packet(r.wire, container, world, []byte{byte(header.ICMPv4EchoReply), 0, 0, 0, 0, 0, 0, 0}) || icmp.Packet(r.wire, container, world, []byte{8}) {
		t.Error("what is no echo request is taken")
	}
}
