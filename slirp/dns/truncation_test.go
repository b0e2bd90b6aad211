package dns

import (
	"slices"
	"testing"
)

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
