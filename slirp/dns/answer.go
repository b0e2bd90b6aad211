package dns

import (
	"bytes"
	"errors"
)

var (
	errForeign = errors.New("not an answer to this query")
	errBroken  = errors.New("a malformed answer")
)

// answer is what a resolver said.
type answer struct {
	raw       []byte
	rcode     int // with the upper bits of OPT
	truncated bool

	ttl  uint32   // of the whole: how long it may be kept, 0: not at all
	ttls []uint16 // offsets of what counts down
}

// understand reads a message that came from a resolver to which a query was sent
// under an id. errForeign: it is for somebody else, or forged. errBroken: it is
// for us, but no good.
func understand(q *query, id uint16, m []byte) (*answer, error) {
	if len(m) < headerLen || be.Uint16(m) != id {
		return nil, errForeign
	}
	flags := be.Uint16(m[2:])
	if flags&flagResponse == 0 || flags&maskOpcode != q.flags&maskOpcode {
		return nil, errForeign
	}
	a := &answer{raw: m, rcode: int(flags & maskRcode), truncated: flags&flagTruncated != 0}
	end := headerLen + len(q.question)
	switch n := be.Uint16(m[4:]); {
	case n == 0 && a.rcode != rcodeSuccess && a.rcode != rcodeNameError:
		// Old servers do not repeat a question that they refuse.
		a.raw = q.reply(uint16(a.rcode)).done("")
		return a, nil
	case n != 1 || len(m) < end || !sameQuestion(m[headerLen:end], q.question):
		return nil, errForeign
	}
	w := walk(m, end)
	a.measure(w)
	switch {
	case w.bad && a.truncated: // was cut anywhere, as simple servers do
		a.raw = q.reply(uint16(a.rcode)).done("")
		be.PutUint16(a.raw[2:], be.Uint16(a.raw[2:])|flagTruncated)
	case w.bad:
		return nil, errBroken
	default:
		a.raw = m[:w.at]
	}
	return a, nil
}

// sameQuestion compares two of one length.
func sameQuestion(a, b []byte) bool {
	name := len(a) - 4
	return bytes.Equal(a[name:], b[name:]) && bytes.Equal(lower(a[:name]), lower(b[:name]))
}

// measure finds what the cache must know. An answer lives as long as each of its
// records; one that says "there is none", as long as the zone's SOA says of such
// (RFC 2308), and without an SOA not at all.
func (a *answer) measure(w *walker) {
	ttl, answers, soa := uint32(maxTTL), 0, false
	for r := range w.all {
		if r.kind == typeOPT {
			a.rcode |= int(r.ttl>>24) << 4
			continue
		}
		if r.section == inAnswer {
			answers++
		}
		t := r.ttl
		if t > 1<<31-1 { // RFC 2181 §8
			t = 0
		}
		ttl = min(ttl, t)
		if r.kind == typeSOA && r.section == inAuthority && len(r.data) >= 22 {
			soa = true
			ttl = min(ttl, be.Uint32(r.data[len(r.data)-4:])) // the zone's minimum is its last field
		}
		a.ttls = append(a.ttls, uint16(r.ttlAt))
	}
	if !a.truncated && (a.rcode == rcodeSuccess && answers > 0 || soa && (a.rcode == rcodeSuccess || a.rcode == rcodeNameError)) {
		a.ttl = ttl
	}
}

// unhelpful: another resolver may know better.
func (a *answer) unhelpful() bool {
	return a.rcode == rcodeServerFailure || a.rcode == rcodeRefused || a.rcode == rcodeNotImplemented
}
