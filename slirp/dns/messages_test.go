package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// options of a query.
const (
	withEDNS = 1 << iota
	withDO
	withCD
	withCookie
)

// query4 makes a query; an EDNS one takes answers of 1232 bytes.
func query4(id uint16, name string, kind uint16, opts int) []byte {
	m := make([]byte, headerLen)
	be.PutUint16(m, id)
	flags := uint16(flagRecursion)
	if opts&withCD != 0 {
		flags |= flagNoCheck
	}
	be.PutUint16(m[2:], flags)
	be.PutUint16(m[4:], 1)
	m = append(m, wireName(name)...)
	m = be.AppendUint16(m, kind)
	m = be.AppendUint16(m, classIN)
	if opts&^withCD == 0 {
		return m
	}
	be.PutUint16(m[10:], 1)
	m = append(m, 0, 0, typeOPT, 1232>>8, 1232&0xff, 0, 0, byte(opts&withDO)<<6, 0)
	if opts&withCookie != 0 {
		return append(m, 0, 12, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8)
	}
	return append(m, 0, 0)
}

func wireName(name string) []byte {
	if name == "" || name == "." {
		return []byte{0}
	}
	w, ok := encode(name)
	if !ok {
		panic(name)
	}
	return w
}

// rr is a record of the name that is asked for.
type rr struct {
	section int
	kind    uint16
	ttl     uint32
	data    []byte
}

func a4(ttl uint32, addr string) rr {
	return rr{inAnswer, typeA, ttl, netip.MustParseAddr(addr).AsSlice()}
}

func soa(ttl, minimum uint32) rr {
	data := append([]byte{0, 0}, make([]byte, 16)...)
	return rr{inAuthority, typeSOA, ttl, be.AppendUint32(data, minimum)}
}

func txt(ttl uint32, size int) rr {
	return rr{inAnswer, 16, ttl, append([]byte{byte(size - 1)}, strings.Repeat("x", size-1)...)}
}

// says makes an answer to a query.
func says(query []byte, rcode uint16, rrs ...rr) []byte {
	q, _ := parse(query)
	m := q.reply(rcode).m
	for section := inAnswer; section <= inAdditional; section++ {
		for _, r := range rrs {
			if r.section != section {
				continue
			}
			m = append(m, 0xc0, headerLen)
			m = be.AppendUint16(m, r.kind)
			m = be.AppendUint16(m, classIN)
			m = be.AppendUint32(m, r.ttl)
			m = be.AppendUint16(m, uint16(len(r.data)))
			m = append(m, r.data...)
			be.PutUint16(m[6+2*section:], be.Uint16(m[6+2*section:])+1)
		}
	}
	if q.edns {
		m = append(m, 0, 0, typeOPT, 16, 0, 0, 0, 0, 0, 0, 0)
		be.PutUint16(m[10:], be.Uint16(m[10:])+1)
	}
	return m
}

// one is a resolver that gives every query the same answer.
func one(t testing.TB, rcode uint16, rrs ...rr) *upstream {
	t.Helper()
	return resolver(t, func(_ string, q []byte) [][]byte { return [][]byte{says(q, rcode, rrs...)} })
}

// silent is one that never answers.
func silent(t testing.TB) *upstream {
	t.Helper()
	return resolver(t, func(string, []byte) [][]byte { return nil })
}

// checked fails unless an answer is one to a query and well-formed, and gives its
// rcode and records.
func checked(t testing.TB, query, a []byte) (rcode int, records []record) {
	t.Helper()
	if a == nil {
		t.Fatal("no answer")
	}
	q, _ := parse(query)
	end := headerLen + len(q.question)
	switch {
	case len(a) < end || be.Uint16(a[4:]) != 1:
		t.Fatalf("the answer has no question: %x", a)
	case be.Uint16(a) != q.id:
		t.Fatalf("id %#x, not the query's %#x", be.Uint16(a), q.id)
	case string(a[headerLen:end]) != string(q.question):
		t.Fatalf("question %q, not %q as it was asked", a[headerLen:end], q.question)
	case be.Uint16(a[2:])&flagResponse == 0:
		t.Fatal("not a response")
	}
	w := walk(a, end)
	for r := range w.all {
		records = append(records, r)
	}
	if w.bad || w.at != len(a) {
		t.Fatalf("malformed at %d of %d: %x", w.at, len(a), a)
	}
	return int(be.Uint16(a[2:]) & maskRcode), records
}

// expect checks an answer's rcode, and the data of its answer section.
func expect(t testing.TB, query, a []byte, rcode int, data ...string) {
	t.Helper()
	got, records := checked(t, query, a)
	if got != rcode {
		t.Errorf("rcode %d, want %d", got, rcode)
	}
	var found []string
	for _, r := range records {
		if r.section == inAnswer {
			found = append(found, show(r))
		}
	}
	slices.Sort(found)
	slices.Sort(data)
	if !slices.Equal(found, data) {
		t.Errorf("answer %q, want %q", found, data)
	}
}

func show(r record) string {
	switch r.kind {
	case typeA, typeAAAA:
		a, _ := netip.AddrFromSlice(r.data)
		return a.String()
	case typePTR:
		s, _ := text(r.data)
		return s
	}
	return string(r.data)
}

func truncated(a []byte) bool { return be.Uint16(a[2:])&flagTruncated != 0 }
