package peer

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"
)

// A nameserver answers for lab.test, each name in its own way:
//
//	a, www (a CNAME of a), count (another address each time, TTL 60), soon (the
//	same with TTL 1), zero (TTL 0), who (the server's own address), txt, empty,
//	many (100 addresses: truncated by UDP), huge (60 KB, by TCP only), opt (the
//	client's EDNS size), and whatever ends in .deep.lab.test
//	slow (after 1 s), dead (never), servfail, refused
//	wrongid, wrongname (a forged answer, then the right one), garbage, loop (a
//	name that points to itself), short (a header that promises more)
//
// Everything else does not exist. 192.0.2.2 is called a.lab.test.
type nameserver struct {
	self  string
	log   Log
	count atomic.Int32
}

func (n *nameserver) udp(b []byte, from string, reply func([]byte)) { n.answer(b, "udp", reply) }

func (n *nameserver) tcp(c *net.TCPConn) {
	for {
		b, err := readTCP(c)
		if err != nil {
			return
		}
		n.answer(b, "tcp", func(out []byte) { writeTCP(c, out) })
	}
}

func readTCP(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeTCP(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

func (n *nameserver) answer(b []byte, proto string, reply func([]byte)) {
	q, err := parseQuestion(b)
	if err != nil {
		n.log("%s: %v", proto, err)
		return
	}
	n.log("%s %s %d", proto, q.name, q.typ)
	name, ours := strings.CutSuffix(q.name, ".lab.test")
	if q.name == "2.2.0.192.in-addr.arpa" {
		name, ours = "ptr", true
	}
	a := &answer{q: q}
	if !ours {
		a.nothing(3)
		reply(a.message(0))
		return
	}
	switch name {
	case "a":
		a.address(60, "192.0.2.2", "2001:db8::2")
	case "www":
		a.add("www.lab.test", typeCNAME, 60, appendName(nil, "a.lab.test"))
		a.owner = "a.lab.test"
		a.address(60, "192.0.2.2", "2001:db8::2")
	case "ptr":
		a.add(q.name, typePTR, 60, appendName(nil, "a.lab.test"))
	case "count", "soon", "zero":
		ttl := map[string]uint32{"count": 60, "soon": 1}[name]
		a.address(ttl, fmt.Sprintf("10.0.0.%d", n.count.Add(1)))
	case "who":
		host, _, _ := net.SplitHostPort(n.self)
		a.address(0, host)
	case "txt":
		a.add(q.name, typeTXT, 60, append([]byte{5}, "hello"...))
	case "opt":
		text := fmt.Sprintf("edns=%d", q.edns)
		a.add(q.name, typeTXT, 0, append([]byte{byte(len(text))}, text...))
	case "empty":
		a.nothing(0)
	case "many":
		for i := range 100 {
			a.address(60, fmt.Sprintf("10.1.0.%d", i))
		}
	case "huge":
		for range 240 {
			a.add(q.name, typeTXT, 60, append([]byte{230}, strings.Repeat("x", 230)...))
		}
	case "slow":
		time.Sleep(time.Second)
		a.address(0, "192.0.2.2")
	case "dead":
		return
	case "servfail":
		a.rcode = 2
	case "refused":
		a.rcode = 5
	case "wrongid", "wrongname":
		forged := &answer{q: q}
		forged.address(60, "10.66.66.66")
		out := forged.message(0)
		if name == "wrongid" {
			out[0] ^= 0xff
		} else {
			out[13] ^= 1
		}
		reply(out)
		a.address(0, "192.0.2.2")
	case "garbage":
		reply(append(b[:2:2], strings.Repeat("\xff", 300)...))
		return
	case "loop":
		out := a.message(0)
		binary.BigEndian.PutUint16(out[6:], 1)
		at := len(out)
		out = append(out, 0xc0|byte(at>>8), byte(at))
		reply(append(out, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 1, 2, 3, 4))
		return
	case "short":
		out := a.message(0)
		binary.BigEndian.PutUint16(out[6:], 500)
		reply(out)
		return
	default:
		if !strings.HasSuffix(name, ".deep") {
			a.nothing(3)
			break
		}
		a.address(60, "192.0.2.2")
	}
	limit := 0
	if proto == "udp" {
		limit = max(512, q.edns)
	}
	reply(a.message(limit))
}

// An answer is being put together.
type answer struct {
	q       question
	owner   string // of addresses, when that is not the question's
	rcode   uint16
	count   int
	records []byte
	soa     bool
}

func (a *answer) add(name string, typ uint16, ttl uint32, data []byte) {
	if typ == a.q.typ || typ == typeCNAME {
		a.records = appendRecord(a.records, name, typ, ttl, data)
		a.count++
	}
}

func (a *answer) address(ttl uint32, addrs ...string) {
	owner := a.owner
	if owner == "" {
		owner = a.q.name
	}
	for _, text := range addrs {
		addr := netip.MustParseAddr(text)
		typ := uint16(typeA)
		if addr.Is6() {
			typ = typeAAAA
		}
		a.add(owner, typ, ttl, addr.AsSlice())
	}
}

// nothing says that there is nothing, and for how long.
func (a *answer) nothing(rcode uint16) { a.rcode, a.soa = rcode, true }

// message is the answer in wire format, cut to limit bytes if that is not 0.
func (a *answer) message(limit int) []byte {
	flags := uint16(flagAnswer|flagRA) | a.q.flags&flagRD | a.rcode
	header := func(answers, authority, extra int) []byte {
		b := binary.BigEndian.AppendUint16(nil, a.q.id)
		b = binary.BigEndian.AppendUint16(b, flags)
		for _, n := range []int{1, answers, authority, extra} {
			b = binary.BigEndian.AppendUint16(b, uint16(n))
		}
		return append(b, a.q.raw...)
	}
	var opt []byte
	extra := 0
	if a.q.edns > 0 {
		opt, extra = []byte{0, 0, typeOPT, 0x10, 0, 0, 0, 0, 0, 0, 0}, 1
	}
	var soa []byte
	authority := 0
	if a.soa {
		data := append(appendName(appendName(nil, "ns.lab.test"), "root.lab.test"), make([]byte, 20)...)
		binary.BigEndian.PutUint32(data[len(data)-4:], 60)
		soa, authority = appendRecord(nil, "lab.test", typeSOA, 60, data), 1
	}
	b := header(a.count, authority, extra)
	b = append(append(append(b, a.records...), soa...), opt...)
	if limit > 0 && len(b) > limit {
		flags |= flagTruncated
		b = append(header(0, 0, extra), opt...)
	}
	return b
}
