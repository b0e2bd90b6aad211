package dns

import (
	"bytes"
	"context"
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
				s := relay(first(t), one(t, rcodeSuccess, a4(9, "192.0.2.1")))
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
			expect(t, q, ask(t, relay(u), "udp", q), rcodeSuccess, "192.0.2.1")
		})
		t.Run(name+" before a silent one", func(t *testing.T) {
			slow.Store(0)
			lossy.Store(0)
			q := query4(7, name+".example", typeA, 0)
			expect(t, q, ask(t, relay(u, silent(t)), "udp", q), rcodeSuccess, "192.0.2.1")
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
				s := relay(c.ups...)
				s.pace.total = 300 * time.Millisecond
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

func TestTruncation(t *testing.T) {
	const many = 13
	exceeds := one(t, rcodeSuccess, slices.Repeat([]rr{txt(9, 100)}, many)...)
	excessive := one(t, rcodeSuccess, slices.Repeat([]rr{txt(9, 100)}, 20)...)
	passes := edits(t, func(m []byte) []byte { m[2] |= flagTruncated >> 8; return m })
	cuts := edits(t, func(m []byte) []byte { m[2] |= flagTruncated >> 8; return m[:len(m)-7] })
	for _, c := range []struct {
		name    string
		up      *upstream
		opts    int
		records int // that are left of the answer
	}{
		{"exceeds 512", exceeds, 0, 4},
		{"exceeds EDNS size", exceeds, withEDNS, 10},
		{"exceeds everything", excessive, 0, 0},
		{"resolver truncates", passes, withEDNS, 1},
		{"resolver cuts anywhere", cuts, withEDNS, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := relay(c.up)
			for range 2 {
				q := query4(7, "example.org", 16, c.opts)
				p, _ := parse(q)
				a := ask(t, s, "udp", q)
				_, records := checked(t, q, a)
				answers, opt := 0, false
				for _, r := range records {
					if r.section == inAnswer {
						answers++
					}
					opt = opt || r.kind == typeOPT
				}
				if len(a) > p.size || !truncated(a) || answers != c.records || opt != p.edns {
					t.Errorf("%d bytes of at most %d, truncated %v, %d records of %d, OPT %v",
						len(a), p.size, truncated(a), answers, c.records, opt)
				}
			}
		})
	}
	t.Run("by TCP", func(t *testing.T) {
		s := relay(exceeds)
		q := query4(7, "example.org", 16, 0)
		a := ask(t, s, "tcp", q)
		if _, records := checked(t, q, a); len(records) != many || truncated(a) {
			t.Errorf("%d records of %d, truncated %v", len(records), many, truncated(a))
		}
		// What the cache knows by TCP now is cut for UDP.
		if a = ask(t, s, "udp", q); len(a) > minSize || !truncated(a) {
			t.Errorf("%d bytes by UDP, truncated %v", len(a), truncated(a))
		}
	})
}

func TestAnswerOf64KB(t *testing.T) {
	big := append(slices.Repeat([]rr{txt(9, 244)}, 255), txt(9, 170))
	u := one(t, rcodeSuccess, big...)
	q := query4(7, "example.org", 16, 0)
	a := ask(t, relay(u), "tcp", q)
	if _, records := checked(t, q, a); len(records) != len(big) || len(a) < 65000 {
		t.Errorf("%d records of %d, %d bytes", len(records), len(big), len(a))
	}
}

// Who asks the same at the same time waits for one answer, and gets it with the own id
// and spelling.
func TestAskedOnce(t *testing.T) {
	release := make(chan struct{})
	u := resolver(t, func(_ string, q []byte) [][]byte {
		<-release
		return [][]byte{says(q, rcodeSuccess, a4(0, "192.0.2.1"))}
	})
	s := relay(u)
	s.pace.next = time.Hour // no repetition
	const clients = 20
	type outcome struct{ q, a []byte }
	done := make(chan outcome, clients)
	for i := range clients {
		name := "example.org"
		if i%2 == 1 {
			name = strings.ToUpper(name)
		}
		q := query4(uint16(i), name, typeA, withCookie)
		go s.UDP(context.Background(), q, func(a []byte) { done <- outcome{q, a} })
	}
	waitFor(t, func() bool { return s.flights.waiting() == clients })
	close(release)
	for range clients {
		o := <-done
		expect(t, o.q, o.a, rcodeSuccess, "192.0.2.1")
	}
	if n := len(u.queries()); n != 1 {
		t.Errorf("the resolver was asked %d times", n)
	}
	waitFor(t, func() bool { return s.flights.waiting() == 0 })
}

// A question ends when nobody waits for it any more, and not before.
func TestNobodyWaits(t *testing.T) {
	release := make(chan struct{})
	u := resolver(t, func(_ string, q []byte) [][]byte {
		<-release
		return [][]byte{says(q, rcodeSuccess, a4(0, "192.0.2.1"))}
	})
	s := relay(u)
	s.pace.next = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan bool)
	q := query4(7, "example.org", typeA, 0)
	go func() {
		answered := false
		s.UDP(ctx, q, func([]byte) { answered = true })
		left <- answered
	}()
	waitFor(t, func() bool { return s.flights.waiting() == 1 })
	stays := make(chan []byte, 1)
	go s.UDP(context.Background(), q, func(a []byte) { stays <- a })
	waitFor(t, func() bool { return s.flights.waiting() == 2 })
	cancel()
	if <-left {
		t.Error("a query whose context ended was answered")
	}
	close(release)
	expect(t, q, <-stays, rcodeSuccess, "192.0.2.1")

	s = relay(silent(t))
	s.pace.next, s.pace.total = time.Hour, time.Hour
	ctx, cancel = context.WithCancel(context.Background())
	go func() { s.UDP(ctx, q, func([]byte) {}); left <- false }()
	waitFor(t, func() bool { return s.flights.waiting() == 1 })
	cancel()
	<-left
	waitFor(t, func() bool { return s.flights.waiting() == 0 })
}

// Who has got an answer and asks again, asks anew.
func TestAskedAnew(t *testing.T) {
	var f flights
	var n atomic.Int32
	for i := range int32(20000) {
		f.do(context.Background(), "", func(context.Context) (*answer, error) { n.Add(1); return nil, nil })
		if n.Load() != i+1 {
			t.Fatalf("asked %d times of %d", n.Load(), i+1)
		}
	}
}

func (f *flights) waiting() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fl := range f.air {
		n += fl.waiting
	}
	return n
}

// waitFor polls, for ten seconds at most.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for range 2000 {
		if cond() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("waited in vain")
}

func TestDatagramsAreBounded(t *testing.T) {
	s := relay(silent(t))
	s.pace.next, s.pace.total = time.Hour, time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const beyond = 50
	back := make(chan struct{}, maxDatagrams+beyond)
	for i := range maxDatagrams + beyond {
		go func() {
			s.UDP(ctx, query4(uint16(i), "example.org", typeA, 0), func([]byte) { t.Error("an answer") })
			back <- struct{}{}
		}()
	}
	for range beyond {
		<-back // dropped at once
	}
	waitFor(t, func() bool { return s.flights.waiting() == maxDatagrams })
	cancel()
	for range maxDatagrams {
		<-back
	}
}
