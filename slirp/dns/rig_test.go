package dns

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// hurried is a pace at which a test of silence does not take long, yet a loaded
// machine answers in time.
var hurried = pace{next: 50 * time.Millisecond, total: 20 * time.Second, idle: 20 * time.Second}

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

// relay makes a server, in a hurry, that asks these resolvers.
func relay(ups ...*upstream) *Server {
	var list []netip.AddrPort
	for _, u := range ups {
		list = append(list, u.addr)
	}
	s := New(Config{Upstreams: func() []netip.AddrPort { return list }})
	s.pace = hurried
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
