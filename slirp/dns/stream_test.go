package dns

import (
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"time"
)

// front is a server behind real sockets on loopback, as the container's programs
// meet it behind the stack's.
func front(t *testing.T, s *Server) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	l, pc := loopback(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.TCP(ctx, c)
		}
	}()
	go func() {
		for b := make([]byte, maxMessage); ; {
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			q := slices.Clone(b[:n])
			go s.UDP(ctx, q, func(a []byte) { pc.WriteTo(a, from) })
		}
	}()
	return pc.LocalAddr().String()
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute)) // the test hangs no longer than that
	return c.(*net.TCPConn)
}

// ended fails unless a connection is at its end.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	n, err := io.Copy(io.Discard, c)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("the connection is still open")
	}
	if n != 0 {
		t.Errorf("%d bytes before its end", n)
	}
}

// Many queries on one connection, not waiting for answers; those come as they are
// ready, and none is lost when the client closes its side.
func TestPipelined(t *testing.T) {
	release := make(chan struct{})
	s := relay(resolver(t, func(_ string, q []byte) [][]byte {
		if p, _ := parse(q); string(p.name()) == "\x04slow\x00" {
			<-release
		}
		return [][]byte{says(q, rcodeSuccess, a4(0, "192.0.2.1"))}
	}))
	c := dial(t, front(t, s))
	slow := query4(1000, "slow", typeA, 0)
	if err := writeMessage(c, slow); err != nil {
		t.Fatal(err)
	}
	const n = 50
	sent := map[uint16][]byte{}
	go func() {
		for i := range n {
			writeMessage(c, query4(uint16(i), "fast", typeA, withCookie))
		}
	}()
	for i := range n {
		sent[uint16(i)] = query4(uint16(i), "fast", typeA, withCookie)
	}
	for range n {
		a, err := readMessage(c)
		if err != nil {
			t.Fatal(err)
		}
		q := sent[be.Uint16(a)]
		delete(sent, be.Uint16(a))
		expect(t, q, a, rcodeSuccess, "192.0.2.1")
	}
	c.CloseWrite()
	close(release)
	a, err := readMessage(c)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, slow, a, rcodeSuccess, "192.0.2.1")
	ended(t, c)
}

// A query may come in pieces.
func TestPieces(t *testing.T) {
	c := dial(t, front(t, relay(one(t, rcodeSuccess, a4(0, "192.0.2.1")))))
	q := query4(7, "example.org", typeA, 0)
	for _, b := range append([]byte{0, byte(len(q))}, q...) {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	a, err := readMessage(c)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, q, a, rcodeSuccess, "192.0.2.1")
}

// What ends a connection: each of these leaves no goroutine and no place taken.
func TestConnectionEnds(t *testing.T) {
	for name, f := range map[string]func(s *Server, c *net.TCPConn){
		"idle":       func(s *Server, c *net.TCPConn) {},
		"half query": func(s *Server, c *net.TCPConn) { c.Write([]byte{0, 100, 1, 2, 3}) },
		"no query":   func(s *Server, c *net.TCPConn) { c.Write([]byte{0, 0}) },
		"garbage":    func(s *Server, c *net.TCPConn) { c.Write([]byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")) },
		"closed":     func(s *Server, c *net.TCPConn) { c.CloseWrite() },
		"reset":      func(s *Server, c *net.TCPConn) { c.SetLinger(0); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := relay(silent(t))
			s.pace.idle = 100 * time.Millisecond
			c := dial(t, front(t, s))
			f(s, c)
			ended(t, c)
			waitFor(t, func() bool { return len(s.conns) == 0 && len(s.streamed) == 0 })
		})
	}
}

// A client that asks and asks but takes no answers is left.
func TestClientThatTakesNothing(t *testing.T) {
	s := relay(one(t, rcodeSuccess, slices.Repeat([]rr{txt(9, 244)}, 250)...))
	s.pace.idle = 300 * time.Millisecond
	here, there := net.Pipe() // has no buffer: nothing is taken
	defer here.Close()
	done := make(chan struct{})
	go func() { s.TCP(context.Background(), there); close(done) }()
	for i := range 100 {
		if writeMessage(here, query4(uint16(i), "example.org", 16, 0)) != nil {
			break
		}
	}
	<-done
	if len(s.streamed) != 0 || len(s.conns) != 0 {
		t.Error("places are still taken")
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s := relay(one(t, rcodeSuccess, a4(0, "192.0.2.1")))
	addr := front(t, s)
	q := query4(7, "example.org", typeA, 0)
	var all []*net.TCPConn
	for range maxConns {
		all = append(all, dial(t, addr))
	}
	waitFor(t, func() bool { return len(s.conns) == maxConns })
	ended(t, dial(t, addr))
	for _, c := range []*net.TCPConn{all[0], all[maxConns-1]} {
		writeMessage(c, q)
		a, err := readMessage(c)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, q, a, rcodeSuccess, "192.0.2.1")
	}
	all[0].Close()
	waitFor(t, func() bool { return len(s.conns) < maxConns })
	c := dial(t, addr)
	writeMessage(c, q)
	if a, err := readMessage(c); err != nil || a == nil {
		t.Errorf("not served when there is room again: %v", err)
	}
}

// The end of the context ends the connections, also those that wait for an answer.
func TestContextEndsConnection(t *testing.T) {
	s := relay(silent(t))
	ctx, cancel := context.WithCancel(context.Background())
	here, there := net.Pipe()
	defer here.Close()
	done := make(chan struct{})
	go func() { s.TCP(ctx, there); close(done) }()
	writeMessage(here, query4(7, "example.org", typeA, 0))
	waitFor(t, func() bool { return s.flights.waiting() == 1 })
	cancel()
	<-done
	waitFor(t, func() bool { return s.flights.waiting() == 0 })
}
