package dns

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// canned is a connection to a resolver without a socket: what is read follows from what
// was written. With nothing left to read it is at its end.
type canned struct {
	net.Conn
	udp     bool
	answers func(query []byte) [][]byte
	left    [][]byte
}

func (c *canned) Write(b []byte) (int, error) {
	q := b
	if !c.udp {
		q = b[2:]
	}
	for _, a := range c.answers(q) {
		if !c.udp {
			a = append(be.AppendUint16(nil, uint16(len(a))), a...)
		}
		c.left = append(c.left, a)
	}
	return len(b), nil
}

func (c *canned) Read(b []byte) (int, error) {
	if len(c.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.left[0])
	if c.left[0] = c.left[0][n:]; c.udp || len(c.left[0]) == 0 {
		c.left = c.left[1:]
	}
	return n, nil
}

func (c *canned) Close() error                    { return nil }
func (c *canned) SetReadDeadline(time.Time) error { return nil }

// without makes a server whose resolver is a function.
func without(answers func(query []byte) [][]byte) *Server {
	up := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}
	return New(Config{Names: hosts(), Upstreams: func() []netip.AddrPort { return up },
		Dial: func(_ context.Context, network, _ string) (net.Conn, error) {
			return &canned{udp: network == "udp", answers: answers}, nil
		}})
}

// FuzzQuery: whatever a client sends, it gets at most one answer, which is
// well-formed, to this query, and no larger than it may be; a query that can be
// understood gets one; and what is passed on is the query itself.
func FuzzQuery(f *testing.F) {
	f.Add(query4(1, "example.org", typeA, 0))
	f.Add(query4(2, "Example.org", typeAAAA, withEDNS|withDO|withCD))
	f.Add(query4(3, "db", typeA, withCookie))
	f.Add(query4(4, "2.0.89.10.in-addr.arpa", typePTR, withEDNS))
	f.Add(query4(5, "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.8.0.0.0.0.d.f.ip6.arpa", typePTR, 0))
	f.Add(query4(6, ".", typeAXFR, 0))
	f.Add(nameOf(255))
	f.Add(append(query4(7, "a", typeA, 0)[:12], 0xc0, 12, 0, 1, 0, 1))
	many := slices.Repeat([]rr{txt(60, 200)}, 30)
	f.Fuzz(func(t *testing.T, m []byte) {
		var passed []byte
		s := without(func(q []byte) [][]byte { passed = q; return [][]byte{says(q, rcodeSuccess, many...)} })
		before := slices.Clone(m)
		for _, network := range []string{"udp", "tcp", "udp"} { // the last from the cache
			a := serveOnce(t, s, network, m)
			if !bytes.Equal(m, before) {
				t.Fatal("the query was changed")
			}
			if passed != nil && !bytes.Equal(passed[2:], m[2:]) {
				t.Fatalf("passed on as %x", passed)
			}
			q, _ := parse(m)
			if q == nil {
				if a != nil && (len(a) != headerLen || a[0] != m[0] || a[1] != m[1] || a[2]&0x80 == 0 || a[3]&0xf == 0 || !bytes.Equal(a[4:], make([]byte, 8))) {
					t.Fatalf("refused as %x", a)
				}
				if passed != nil {
					t.Fatal("what is no query was passed on")
				}
				continue
			}
			checked(t, m, a)
			if network == "udp" && len(a) > q.size {
				t.Fatalf("%d bytes of at most %d", len(a), q.size)
			}
			if network == "tcp" && truncated(a) {
				t.Fatal("truncated by TCP")
			}
		}
	})
}

// serveOnce is ask without time: of UDP it checks that there is one answer at most.
func serveOnce(t *testing.T, s *Server, network string, m []byte) (a []byte) {
	t.Helper()
	if network == "tcp" {
		return s.serve(context.Background(), network, m)
	}
	n := 0
	s.UDP(context.Background(), m, func(b []byte) { a = b; n++ })
	if n > 1 {
		t.Fatalf("%d answers", n)
	}
	return a
}

// FuzzAnswer: whatever a resolver sends, the client gets an answer, which is
// well-formed, to its query, and no larger than it may be. Nothing of a message to
// another question gets through. Asked again later, TTLs are less by that time, and all
// else is the same.
func FuzzAnswer(f *testing.F) {
	query := query4(0x1234, "Example.org", typeA, withEDNS)
	q, _ := parse(query)
	for _, m := range [][]byte{
		says(query, rcodeSuccess, a4(60, "192.0.2.1"), a4(50, "192.0.2.2")),
		says(query, rcodeNameError, soa(60, 30)),
		says(query, rcodeServerFailure),
		says(query, rcodeSuccess, slices.Repeat([]rr{txt(60, 200)}, 30)...),
		refuse(query, rcodeRefused),
		{},
	} {
		f.Add(m, true)
		f.Add(m, false)
	}
	f.Fuzz(func(t *testing.T, m []byte, ours bool) {
		if len(m) > maxMessage {
			return
		}
		foreign, asked := false, 0
		s := without(func(sent []byte) [][]byte {
			asked++
			a := slices.Clone(m)
			if ours { // as an honest server begins
				copy(a, sent[:2])
				if len(a) > 2 {
					a[2] |= 0x80
				}
			}
			_, err := understand(q, be.Uint16(sent), a)
			foreign = err == errForeign
			return [][]byte{a}
		})
		turn := clocked(s)
		for _, network := range []string{"udp", "tcp"} {
			a := serveOnce(t, s, network, query)
			rcode, _ := checked(t, query, a)
			if network == "udp" && len(a) > q.size {
				t.Fatalf("%d bytes of at most %d", len(a), q.size)
			}
			if foreign && (rcode != rcodeServerFailure || bytes.Contains(a, []byte{192, 0, 2})) {
				t.Fatalf("foreign, yet answered by %x", a)
			}
			_, first := checked(t, query, serveOnce(t, s, network, query))
			before := asked
			turn(2 * time.Second)
			_, second := checked(t, query, serveOnce(t, s, network, query))
			if asked > before {
				continue // was not kept, or has expired
			}
			if len(first) != len(second) {
				t.Fatalf("%d records, then %d", len(first), len(second))
			}
			for i, r := range first {
				want := r.ttl
				if r.kind != typeOPT {
					want -= 2
				}
				if second[i].ttl != want || r.kind != typeOPT && r.ttl > 1<<31-1 || !bytes.Equal(r.data, second[i].data) {
					t.Fatalf("record %d: TTL %d, then %d", i, r.ttl, second[i].ttl)
				}
			}
		}
	})
}
