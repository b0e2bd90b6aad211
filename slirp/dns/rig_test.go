package dns

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// patient is a pace at which a resolver is asked once, however loaded the machine; at
// a hurried one, silence does not take long.
var (
	patient = pace{next: time.Minute, total: time.Minute, idle: time.Minute}
	hurried = pace{next: 50 * time.Millisecond, total: time.Minute, idle: time.Minute}
)

// upstream is a resolver on loopback, for UDP and TCP at one port.
type upstream struct {
	addr netip.AddrPort

	mu    sync.Mutex
	heard []heard
}

type heard struct {
	network string
	raw     []byte
	from    string
}

// resolver starts one. Its answers to a query, any number, are what the function says.
func resolver(t testing.TB, answers func(network string, q []byte) [][]byte) *upstream {
	t.Helper()
	l, pc := loopback(t)
	u := &upstream{addr: netip.MustParseAddrPort(pc.LocalAddr().String())}
	go func() {
		b := make([]byte, maxMessage)
		for {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			q := slices.Clone(b[:n])
			u.note("udp", q, from)
			go func() {
				for _, a := range answers("udp", q) {
					pc.WriteTo(a, from)
				}
			}()
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for {
					q, err := readMessage(c)
					if err != nil {
						return
					}
					u.note("tcp", q, c.RemoteAddr())
					list := answers("tcp", q)
					if list == nil {
						io.Copy(io.Discard, c) // silent until the client goes
					}
					for _, a := range list {
						writeMessage(c, a)
					}
				}
			}()
		}
	}()
	return u
}

// loopback gives two sockets of one port, closed when the test ends.
func loopback(t testing.TB) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenPacket("udp", l.Addr().String())
		if err != nil {
			l.Close()
			continue
		}
		t.Cleanup(func() { l.Close(); pc.Close() })
		return l, pc
	}
	t.Fatal("no port is free for both udp and tcp")
	return nil, nil
}

func (u *upstream) note(network string, q []byte, from net.Addr) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.heard = append(u.heard, heard{network, q, from.String()})
}

func (u *upstream) queries() []heard {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.heard)
}

// nobody is an address that refuses connections and datagrams.
func nobody(t testing.TB) *upstream {
	t.Helper()
	l, pc := loopback(t)
	l.Close()
	pc.Close()
	return &upstream{addr: netip.MustParseAddrPort(pc.LocalAddr().String())}
}

// hurriedRelay makes one that does not wait long for the first of them.
func hurriedRelay(ups ...*upstream) *Server {
	s := relay(ups...)
	s.pace = hurried
	return s
}

// relay makes a patient server that asks these resolvers.
func relay(ups ...*upstream) *Server {
	var list []netip.AddrPort
	for _, u := range ups {
		list = append(list, u.addr)
	}
	s := New(Config{Upstreams: func() []netip.AddrPort { return list }})
	s.pace = patient
	return s
}

// ask asks a server and gives the answer, nil when there is none.
func ask(t testing.TB, s *Server, network string, q []byte) (a []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if network == "udp" {
		n := 0
		s.UDP(ctx, q, func(m []byte) { a = m; n++ })
		if n > 1 {
			t.Errorf("%d answers to one query", n)
		}
		return a
	}
	here, there := net.Pipe()
	defer here.Close()
	go s.TCP(ctx, there)
	if err := writeMessage(here, q); err != nil {
		t.Fatal(err)
	}
	a, err := readMessage(here)
	if err != nil {
		return nil
	}
	return a
}
