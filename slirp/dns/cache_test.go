package dns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// clocked gives a server a clock that the test turns.
func clocked(s *Server) func(time.Duration) {
	now := time.Hour
	s.now = func() time.Duration { return now }
	return func(d time.Duration) { now += d }
}

// How long answers are kept, in seconds.
func TestCacheKeeps(t *testing.T) {
	long := uint32(100000)
	for _, c := range []struct {
		name  string
		rcode uint16
		rrs   []rr
		keeps int
	}{
		{"an address", rcodeSuccess, []rr{a4(30, "192.0.2.1")}, 30},
		{"the least of all", rcodeSuccess, []rr{a4(30, "192.0.2.1"), a4(20, "192.0.2.2")}, 20},
		{"also of other sections", rcodeSuccess, []rr{a4(30, "192.0.2.1"), {inAdditional, typeA, 10, make([]byte, 4)}}, 10},
		{"at most an hour", rcodeSuccess, []rr{a4(long, "192.0.2.1")}, 3600},
		{"no TTL of 0", rcodeSuccess, []rr{a4(0, "192.0.2.1")}, 0},
		{"no negative TTL", rcodeSuccess, []rr{a4(1<<31, "192.0.2.1")}, 0},
		{"no such name", rcodeNameError, []rr{soa(300, 60)}, 60},
		{"no such name, by the SOA's own TTL", rcodeNameError, []rr{soa(30, 60)}, 30},
		{"no such record", rcodeSuccess, []rr{soa(300, 60)}, 60},
		{"an alias of nothing", rcodeSuccess, []rr{{inAnswer, 5, 90, []byte{0}}, soa(300, 60)}, 60},
		{"no such name without SOA", rcodeNameError, nil, 0},
		{"no such record without SOA", rcodeSuccess, nil, 0},
		{"a crippled SOA", rcodeNameError, []rr{{inAuthority, typeSOA, 30, make([]byte, 21)}}, 0},
		{"a failure", rcodeServerFailure, []rr{a4(30, "192.0.2.1")}, 0},
		{"a refusal", rcodeRefused, []rr{soa(300, 60)}, 0},
	} {
		for _, opts := range []int{0, withEDNS} {
			t.Run(fmt.Sprint(c.name, opts), func(t *testing.T) {
				u := one(t, c.rcode, c.rrs...)
				s := relay(u)
				turn := clocked(s)
				q := query4(7, "example.org", typeA, opts)
				fresh := ask(t, s, "udp", q)
				_, before := checked(t, q, fresh)
				if c.keeps > 0 {
					turn(time.Duration(c.keeps)*time.Second - 1)
					kept := ask(t, s, "tcp", q)
					if n := len(u.queries()); n != 1 {
						t.Fatalf("asked again before %d s: %d times", c.keeps, n)
					}
					_, after := checked(t, q, kept)
					for i, r := range after {
						want := before[i].ttl
						if r.kind != typeOPT {
							want -= uint32(c.keeps - 1)
						}
						if r.ttl != want {
							t.Errorf("record %d of type %d has TTL %d, want %d", i, r.kind, r.ttl, want)
						}
					}
					turn(1)
				}
				if ask(t, s, "udp", q); len(u.queries()) != 2 {
					t.Errorf("asked %d times after %d s", len(u.queries()), c.keeps)
				}
			})
		}
	}
}

func TestCacheTellsApart(t *testing.T) {
	u := one(t, rcodeSuccess, a4(30, "192.0.2.1"))
	s := relay(u)
	clocked(s)
	again := func(n int, network string, q []byte) {
		t.Helper()
		expect(t, q, ask(t, s, network, q), rcodeSuccess, "192.0.2.1")
		if got := len(u.queries()); got != n {
			t.Errorf("asked %d times, want %d", got, n)
		}
	}
	again(1, "udp", query4(1, "example.org", typeA, 0))
	again(1, "udp", query4(2, "eXAMPLE.org", typeA, 0)) // its spelling is checked
	again(1, "tcp", query4(3, "example.org", typeA, 0))
	again(2, "udp", query4(4, "example.org", typeA, withEDNS))
	again(3, "udp", query4(5, "example.org", typeA, withEDNS|withDO))
	again(4, "udp", query4(6, "example.org", typeA, withEDNS|withCD))
	again(5, "udp", query4(7, "example.org", typeA, withCD))
	again(6, "udp", query4(8, "example.com", typeA, 0))
	again(7, "udp", query4(9, "example.org", 16, 0))
	again(7, "udp", query4(1, "example.org", typeA, 0))
	// A cookie is the client's own: never from the cache, never into it.
	again(8, "udp", query4(8, "example.org", typeA, withCookie))
	again(9, "udp", query4(8, "example.org", typeA, withCookie))
	// Types that differ in what is upper and lower case of letters: HTTPS and 97.
	again(10, "udp", query4(9, "example.org", 65, 0))
	again(11, "udp", query4(9, "example.org", 97, 0))
}

func TestTruncatedIsNotCached(t *testing.T) {
	u := edits(t, func(m []byte) []byte { m[2] |= flagTruncated >> 8; return m })
	s := relay(u)
	clocked(s)
	for range 2 {
		ask(t, s, "udp", query4(1, "example.org", typeA, 0))
	}
	if n := len(u.queries()); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// What the resolvers of one network said does not hold in another.
func TestCacheForgetsOtherResolvers(t *testing.T) {
	home, vpn := one(t, rcodeSuccess, a4(30, "192.0.2.1")), one(t, rcodeSuccess, a4(30, "198.51.100.1"))
	now := home
	s := New(Config{Upstreams: func() []netip.AddrPort { return []netip.AddrPort{now.addr} }})
	clocked(s)
	q := query4(1, "example.org", typeA, 0)
	expect(t, q, ask(t, s, "udp", q), rcodeSuccess, "192.0.2.1")
	now = vpn
	expect(t, q, ask(t, s, "udp", q), rcodeSuccess, "198.51.100.1")
	now = home
	expect(t, q, ask(t, s, "udp", q), rcodeSuccess, "192.0.2.1")

	// An answer that comes too late is not kept either.
	p, _ := parse(q)
	late, err := understand(p, p.id, says(q, rcodeSuccess, a4(30, "203.0.113.9")))
	if err != nil {
		t.Fatal(err)
	}
	s.cache.put(p, []netip.AddrPort{vpn.addr}, late, s.now())
	expect(t, q, ask(t, s, "udp", q), rcodeSuccess, "192.0.2.1")
}

func TestCacheIsBounded(t *testing.T) {
	ups := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	fill := func(c *cache, n, records int) {
		c.get(&query{plain: true}, ups, 0)
		for i := range n {
			q, _ := parse(query4(1, fmt.Sprintf("host%d.example", i), 16, 0))
			m := says(q.raw, rcodeSuccess, slices.Repeat([]rr{txt(60, 200)}, records)...)
			a, err := understand(q, 1, m)
			if err != nil {
				t.Fatal(err)
			}
			c.put(q, ups, a, 0)
			c.get(mustParse("host0.example"), ups, 0) // is in use
		}
		bytes := 0
		for el := c.used.Front(); el != nil; el = el.Next() {
			bytes += el.Value.(*entry).size()
		}
		if bytes != c.bytes || c.used.Len() != len(c.entries) {
			t.Errorf("counts %d bytes and %d entries, has %d and %d", c.bytes, len(c.entries), bytes, c.used.Len())
		}
		if c.bytes > c.maxBytes || len(c.entries) > c.maxEntries {
			t.Errorf("%d bytes, %d entries", c.bytes, len(c.entries))
		}
	}
	c := newCache(10, 1<<20)
	fill(c, 30, 1)
	if len(c.entries) != 10 || c.get(mustParse("host0.example"), ups, 0) == nil || c.get(mustParse("host29.example"), ups, 0) == nil {
		t.Errorf("not the last used are kept, of %d", len(c.entries))
	}
	c = newCache(1000, 40<<10)
	fill(c, 30, 10)
	if n := len(c.entries); n < 10 || n == 30 {
		t.Errorf("%d entries", n)
	}
	c = newCache(1000, 40<<10)
	if fill(c, 30, 40); len(c.entries) != 0 {
		t.Error("one answer of a fifth of the cache is kept")
	}
}

func mustParse(name string) *query {
	q, _ := parse(query4(1, name, 16, 0))
	return q
}
