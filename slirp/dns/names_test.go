package dns

import (
	"net/netip"
	"slices"
	"testing"
)

// book is Names as a map. A name without addresses exists.
type book map[string][]netip.Addr

func (b book) Lookup(name string) ([]netip.Addr, bool) { a, ok := b[name]; return a, ok }

func (b book) Reverse(a netip.Addr) (string, bool) {
	for name, addrs := range b {
		if slices.Contains(addrs, a) {
			return name, true
		}
	}
	return "", false
}

func hosts() book {
	addr := netip.MustParseAddr
	return book{
		"db":                       {addr("10.89.0.2"), addr("fd00:89::2")},
		"web.example.org":          {addr("10.89.0.3"), addr("10.89.0.4"), addr("::ffff:10.89.0.5")},
		"host.containers.internal": {addr("192.0.2.7")},
		"empty":                    nil,
	}
}

func TestNames(t *testing.T) {
	const rev4, rev6 = "2.0.89.10.in-addr.arpa", "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.8.0.0.0.0.D.f.ip6.arpa"
	for _, c := range []struct {
		name string
		kind uint16
		data []string
	}{
		{"db", typeA, []string{"10.89.0.2"}},
		{"DB", typeA, []string{"10.89.0.2"}},
		{"db", typeAAAA, []string{"fd00:89::2"}},
		{"db", typeANY, []string{"10.89.0.2", "fd00:89::2"}},
		{"db", 16, nil},
		{"db", typePTR, nil},
		{"Web.Example.org", typeA, []string{"10.89.0.3", "10.89.0.4", "10.89.0.5"}},
		{"web.example.org", typeAAAA, nil},
		{"host.containers.internal", typeA, []string{"192.0.2.7"}},
		{"empty", typeA, nil},
		{rev4, typePTR, []string{"db"}},
		{rev4, typeA, nil},
		{rev6, typePTR, []string{"db"}},
	} {
		u := one(t, rcodeRefused)
		s := relay(u)
		s.Names = hosts()
		for _, network := range []string{"udp", "tcp"} {
			for _, opts := range []int{0, withEDNS, withEDNS | withDO} {
				q := query4(7, c.name, c.kind, opts)
				a := ask(t, s, network, q)
				expect(t, q, a, rcodeSuccess, c.data...)
				if be.Uint16(a[10:]) != uint16(min(opts, 1)) {
					t.Errorf("%s %d: OPT records: %d", c.name, c.kind, be.Uint16(a[10:]))
				}
			}
		}
		if n := len(u.queries()); n != 0 {
			t.Errorf("%s %d: the host's resolver was asked %d times about a local name", c.name, c.kind, n)
		}
	}
}

// What is no local name goes on to the host's resolvers, or nowhere.
func TestForeignNames(t *testing.T) {
	u := one(t, rcodeSuccess, a4(0, "198.51.100.1"))
	open := relay(u)
	open.Names = hosts()
	internal := New(Config{Upstreams: open.Upstreams, Names: hosts(), Internal: always})
	for _, name := range []string{"example.org", "db.example.org", "b", "dbx", ".", "9.0.89.10.in-addr.arpa", "89.10.in-addr.arpa",
		"02.0.89.10.in-addr.arpa", "300.0.89.10.in-addr.arpa", "in-addr.arpa", "1.ip6.arpa", "d\\b", "d b"} {
		before := len(u.queries())
		q := query4(7, name, typeA, withEDNS)
		expect(t, q, ask(t, internal, "udp", q), rcodeNameError)
		if n := len(u.queries()); n != before {
			t.Errorf("%s left an internal network", name)
		}
		expect(t, q, ask(t, open, "udp", q), rcodeSuccess, "198.51.100.1")
	}
	// A dot in a label is no dot between labels.
	q := append(query4(7, "", typeA, 0)[:headerLen], "\x0fweb.example.org\x00\x00\x01\x00\x01"...)
	expect(t, q, ask(t, internal, "udp", q), rcodeNameError)
	// Another class has other names.
	q = query4(7, "db", typeA, 0)
	q[len(q)-1] = 3
	expect(t, q, ask(t, internal, "udp", q), rcodeNameError)
}

// Clients share what is called by one name: each address comes first at times.
func TestTurns(t *testing.T) {
	s := New(Config{Names: hosts()})
	first := map[string]bool{}
	for range 300 {
		q := query4(7, "web.example.org", typeA, 0)
		_, records := checked(t, q, ask(t, s, "udp", q))
		first[show(records[0])] = true
	}
	if len(first) != 3 {
		t.Errorf("first came %v only", first)
	}
}

// A name of very many addresses is cut as any other answer.
func TestManyAddresses(t *testing.T) {
	many := book{"all": nil}
	a := netip.MustParseAddr("10.0.0.0")
	for range 5000 {
		many["all"] = append(many["all"], a)
		a = a.Next()
	}
	s := New(Config{Names: many})
	q := query4(7, "all", typeA, 0)
	if a := ask(t, s, "udp", q); len(a) > minSize || !truncated(a) {
		t.Errorf("%d bytes, truncated %v", len(a), truncated(a))
	}
	if _, records := checked(t, q, ask(t, s, "tcp", q)); len(records) < 4000 {
		t.Errorf("%d records", len(records))
	}
}

func TestBadReverseNames(t *testing.T) {
	q := query4(7, "1.2.0.192.in-addr.arpa", typePTR, 0)
	for _, name := range []string{"", ".", "a..b", string(make([]byte, 64))} {
		s := New(Config{Internal: always, Names: book{name: {netip.MustParseAddr("192.0.2.1")}}})
		expect(t, q, ask(t, s, "udp", q), rcodeNameError)
	}
}

func always() bool { return true }
