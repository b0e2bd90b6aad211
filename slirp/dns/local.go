package dns

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// localTTL is short: a container may end and another get its address.
const localTTL = 5

// local answers what Names knows, nil what it does not.
func (s *Server) local(q *query) []byte {
	if s.Names == nil || q.class != classIN && q.class != classANY {
		return nil
	}
	name, ok := text(q.name())
	if !ok {
		return nil
	}
	if addr, ok := reverse(name); ok {
		return s.pointer(q, addr)
	}
	addrs, found := s.Names.Lookup(name)
	if !found {
		return nil
	}
	r := q.reply(rcodeSuccess)
	for _, a := range turned(addrs) {
		kind := uint16(typeA)
		if a = a.Unmap(); a.Is6() {
			kind = typeAAAA
		}
		if q.kind == kind || q.kind == typeANY {
			r.record(kind, localTTL, a.AsSlice())
		}
	}
	return r.done("")
}

// turned begins with any of the addresses: clients take the first, and so share
// what is called by one name.
func turned(addrs []netip.Addr) []netip.Addr {
	if len(addrs) < 2 {
		return addrs
	}
	n := rand.IntN(len(addrs))
	return slices.Concat(addrs[n:], addrs[:n])
}

func (s *Server) pointer(q *query, addr netip.Addr) []byte {
	name, found := s.Names.Reverse(addr)
	if !found {
		return nil
	}
	data, ok := encode(name)
	if !ok {
		return nil
	}
	r := q.reply(rcodeSuccess)
	if q.kind == typePTR || q.kind == typeANY {
		r.record(typePTR, localTTL, data)
	}
	return r.done("")
}

// text is a name as people write it, without the final dot. One that cannot be
// written without escapes is none of ours.
func text(wire []byte) (string, bool) {
	var b strings.Builder
	for wire[0] != 0 {
		n := 1 + int(wire[0])
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		for _, c := range wire[1:n] {
			if c <= ' ' || c >= 0x7f || c == '.' || c == '\\' {
				return "", false
			}
			b.WriteByte(c)
		}
		wire = wire[n:]
	}
	return b.String(), b.Len() > 0
}

// encode is text's inverse.
func encode(name string) (wire []byte, ok bool) {
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 {
			return nil, false
		}
		wire = append(append(wire, byte(len(label))), label...)
	}
	return append(wire, 0), len(wire) < maxName
}

// reverse reads an address from its name under in-addr.arpa or ip6.arpa.
func reverse(name string) (netip.Addr, bool) {
	if v4, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(v4, ".")
		slices.Reverse(parts)
		a, err := netip.ParseAddr(strings.Join(parts, "."))
		return a, err == nil && a.Is4()
	}
	v6, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(v6) != 63 {
		return netip.Addr{}, false
	}
	var b [16]byte
	for i := range 32 {
		n, err := strconv.ParseUint(v6[62-2*i:63-2*i], 16, 4)
		if err != nil || i > 0 && v6[63-2*i] != '.' {
			return netip.Addr{}, false
		}
		b[i/2] = b[i/2]<<4 | byte(n)
	}
	return netip.AddrFrom16(b), true
}
