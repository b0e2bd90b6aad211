package dns

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestRelayPassesOn(t *testing.T) {
	u := one(t, rcodeSuccess, a4(0, "192.0.2.1"), a4(0, "192.0.2.2")) // TTL 0: never from the cache
	s := relay(u)
	ids, ports := map[uint16]bool{}, map[string]bool{}
	for _, network := range []string{"udp", "tcp"} {
		for i := range 12 {
			q := query4(uint16(i), "eXample.ORG", typeA, withEDNS|withDO|withCookie)
			expect(t, q, ask(t, s, network, q), rcodeSuccess, "192.0.2.1", "192.0.2.2")
			all := u.queries()
			h := all[len(all)-1]
			if h.network != network {
				t.Errorf("a query by %s was passed on by %s", network, h.network)
			}
			if !bytes.Equal(h.raw[2:], q[2:]) {
				t.Errorf("passed on as %x, not %x", h.raw, q)
			}
			ids[be.Uint16(h.raw)] = true
			ports[h.from] = true
		}
	}
	if len(ids) < 20 || len(ports) < 12 {
		t.Errorf("24 queries had %d ids and %d ports", len(ids), len(ports))
	}
}

// What is wrong with the first resolver, when the second is good.
func TestNextResolver(t *testing.T) {
	bad := map[string]func(*testing.T) *upstream{
		"silent":       func(t *testing.T) *upstream { return silent(t) },
		"nobody there": func(t *testing.T) *upstream { return nobody(t) },
		"SERVFAIL":     func(t *testing.T) *upstream { return one(t, rcodeServerFailure) },
		"REFUSED":      func(t *testing.T) *upstream { return one(t, rcodeRefused) },
		"NOTIMP":       func(t *testing.T) *upstream { return one(t, rcodeNotImplemented) },
		"bare REFUSED": func(t *testing.T) *upstream {
			return edits(t, func(m []byte) []byte { return refuse(m, rcodeRefused) })
		},
		"wrong id":   func(t *testing.T) *upstream { return edits(t, func(m []byte) []byte { m[0] ^= 0x55; return m }) },
		"wrong name": func(t *testing.T) *upstream { return edits(t, func(m []byte) []byte { m[headerLen+1] ^= 2; return m }) },
		"wrong type": func(t *testing.T) *upstream {
			return edits(t, func(m []byte) []byte { m[headerLen+14] ^= 0x20; return m })
		},
		"a query":         func(t *testing.T) *upstream { return edits(t, func(m []byte) []byte { m[2] &= 0x7f; return m }) },
		"another opcode":  func(t *testing.T) *upstream { return edits(t, func(m []byte) []byte { m[2] |= 0x10; return m }) },
		"no question":     func(t *testing.T) *upstream { return edits(t, func(m []byte) []byte { m[5] = 0; return m }) },
		"cut":             func(t *testing.T) *upstream { return edits(t, func(m []byte) []byte { return m[:len(m)-3] }) },
		"empty":           func(t *testing.T) *upstream { return edits(t, func(m []byte) []byte { return nil }) },
		"too many counts": func(t *testing.T) *upstream { return edits(t, func(m []byte) []byte { m[6] = 0xff; return m }) },
		"a flood": func(t *testing.T) *upstream {
			return resolver(t, func(_ string, q []byte) [][]byte {
				m := says(q, rcodeSuccess, a4(9, "203.0.113.9"))
				m[1] ^= 1
				return slices.Repeat([][]byte{m}, 200)
			})
		},
	}
	for name, first := range bad {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(name+" by "+network, func(t *testing.T) {
				s := hurriedRelay(first(t), one(t, rcodeSuccess, a4(9, "192.0.2.1")))
				q := query4(7, "example.org", typeA, 0)
				expect(t, q, ask(t, s, network, q), rcodeSuccess, "192.0.2.1")
			})
		}
	}
}

// edits is a resolver whose answers are tampered with.
func edits(t *testing.T, f func([]byte) []byte) *upstream {
	return resolver(t, func(_ string, q []byte) [][]byte {
		return [][]byte{f(says(q, rcodeSuccess, a4(9, "203.0.113.9")))}
	})
}

func TestForgedBeforeTrue(t *testing.T) {
	s := relay(resolver(t, func(_ string, q []byte) [][]byte {
		forged := says(q, rcodeSuccess, a4(9, "203.0.113.9"))
		forged[0]++
		return [][]byte{forged, {}, forged[:5], says(q, rcodeSuccess, a4(9, "192.0.2.1"))}
	}))
	q := query4(7, "example.org", typeA, 0)
	expect(t, q, ask(t, s, "udp", q), rcodeSuccess, "192.0.2.1")
}

// A slow resolver is listened to all the while, and a lost question repeated.
func TestSlowAndLossy(t *testing.T) {
	var slow, lossy atomic.Int32
	for name, u := range map[string]*upstream{
		"slow": resolver(t, func(_ string, q []byte) [][]byte {
			if slow.Add(1) > 1 {
				return nil
			}
			time.Sleep(4 * hurried.next)
			return [][]byte{says(q, rcodeSuccess, a4(9, "192.0.2.1"))}
		}),
		"lossy": resolver(t, func(_ string, q []byte) [][]byte {
			if lossy.Add(1) < 3 {
				return nil
			}
			return [][]byte{says(q, rcodeSuccess, a4(9, "192.0.2.1"))}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			q := query4(7, name+".example", typeA, 0)
			expect(t, q, ask(t, hurriedRelay(u), "udp", q), rcodeSuccess, "192.0.2.1")
		})
		t.Run(name+" before a silent one", func(t *testing.T) {
			slow.Store(0)
			lossy.Store(0)
			q := query4(7, name+".example", typeA, 0)
			expect(t, q, ask(t, hurriedRelay(u, silent(t)), "udp", q), rcodeSuccess, "192.0.2.1")
		})
	}
}

// When nobody knows, the client is told, and one that knows EDNS is told why.
func TestFailure(t *testing.T) {
	for _, c := range []struct {
		name  string
		ups   []*upstream
		rcode int
		why   string
	}{
		{"none", nil, rcodeServerFailure, "no resolver"},
		{"silent", []*upstream{silent(t), silent(t)}, rcodeServerFailure, "no"},
		{"nobody there", []*upstream{nobody(t)}, rcodeServerFailure, "refused"},
		{"refused by all", []*upstream{one(t, rcodeServerFailure), nobody(t), one(t, rcodeRefused)}, rcodeRefused, ""},
		{"failed and silent", []*upstream{one(t, rcodeServerFailure), silent(t)}, rcodeServerFailure, ""},
		{"garbage", []*upstream{edits(t, func(m []byte) []byte { return m[:len(m)-1] })}, rcodeServerFailure, "malformed"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(c.name+" by "+network, func(t *testing.T) {
				s := hurriedRelay(c.ups...)
				if strings.Contains(c.name, "silent") {
					s.pace.total = 300 * time.Millisecond
				}
				q := query4(7, "example.org", typeA, 0)
				expect(t, q, ask(t, s, network, q), c.rcode)
				q = query4(7, "example.org", typeA, withEDNS)
				a := ask(t, s, network, q)
				expect(t, q, a, c.rcode)
				if !bytes.Contains(a, []byte(c.why)) {
					t.Errorf("the answer does not say %q: %q", c.why, a)
				}
			})
		}
	}
}

func TestNameThatDoesNotExist(t *testing.T) {
	second := one(t, rcodeSuccess, a4(9, "192.0.2.1"))
	q := query4(7, "example.org", typeA, 0)
	expect(t, q, ask(t, relay(one(t, rcodeNameError), second), "udp", q), rcodeNameError)
	if n := len(second.queries()); n != 0 {
		t.Errorf("the second resolver was asked %d times about a name that does not exist", n)
	}
}
