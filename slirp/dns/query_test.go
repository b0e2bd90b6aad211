package dns

import (
	"slices"
	"testing"
)

// What comes from a hostile or confused client.
func TestBadQueries(t *testing.T) {
	const dropped = -1
	good := query4(7, "example.org", typeA, 0)
	edns := query4(7, "example.org", typeA, withEDNS)
	opt := edns[len(good):]
	change := func(m []byte, f func(m []byte) []byte) []byte { return f(slices.Clone(m)) }
	for name, c := range map[string]struct {
		m     []byte
		rcode int
	}{
		"nothing":           {nil, dropped},
		"half a header":     {good[:11], dropped},
		"a response":        {change(good, func(m []byte) []byte { m[2] |= 0x80; return m }), dropped},
		"a header":          {good[:12], rcodeFormatError},
		"half a name":       {good[:18], rcodeFormatError},
		"no class":          {good[:len(good)-2], rcodeFormatError},
		"no question":       {change(good, func(m []byte) []byte { m[5] = 0; return m[:12] }), rcodeFormatError},
		"two questions":     {change(good, func(m []byte) []byte { m[5] = 2; return append(m, good[12:]...) }), rcodeFormatError},
		"65535 questions":   {change(good, func(m []byte) []byte { m[4], m[5] = 255, 255; return m }), rcodeFormatError},
		"more behind":       {append(slices.Clone(good), 0), rcodeFormatError},
		"less than said":    {change(good, func(m []byte) []byte { m[11] = 1; return m }), rcodeFormatError},
		"two OPT":           {change(edns, func(m []byte) []byte { m[11] = 2; return append(m, opt...) }), rcodeFormatError},
		"OPT as answer":     {change(edns, func(m []byte) []byte { m[7], m[11] = 1, 0; return m }), rcodeFormatError},
		"OPT of a name":     {change(edns, func(m []byte) []byte { return slices.Insert(m, len(good), 1, 'x') }), rcodeFormatError},
		"OPT too long":      {change(edns, func(m []byte) []byte { m[len(m)-1] = 1; return m }), rcodeFormatError},
		"a pointer":         {change(good, func(m []byte) []byte { return append(m[:12], 0xc0, 12, 0, 1, 0, 1) }), rcodeFormatError},
		"a pointer at 0":    {change(good, func(m []byte) []byte { return append(m[:12], 1, 'a', 0xc0, 0, 0, 1, 0, 1) }), rcodeFormatError},
		"a label of 64":     {change(good, func(m []byte) []byte { m[12] = 64; return m }), rcodeFormatError},
		"a name of 256":     {nameOf(256), rcodeFormatError},
		"a name of 255":     {nameOf(255), rcodeSuccess},
		"an update":         {change(good, func(m []byte) []byte { m[2] |= 5 << 3; return m }), rcodeNotImplemented},
		"a notification":    {change(good, func(m []byte) []byte { m[2] |= 4 << 3; return m }), rcodeNotImplemented},
		"a transfer":        {query4(7, "example.org", typeAXFR, 0), rcodeRefused},
		"part of one":       {query4(7, "example.org", typeIXFR, withEDNS), rcodeRefused},
		"EDNS of size 0":    {change(edns, func(m []byte) []byte { m[len(m)-8], m[len(m)-7] = 0, 0; return m }), rcodeSuccess},
		"EDNS of size 64 K": {change(edns, func(m []byte) []byte { m[len(m)-8], m[len(m)-7] = 255, 255; return m }), rcodeSuccess},
	} {
		t.Run(name, func(t *testing.T) {
			s := relay(one(t, rcodeSuccess, a4(9, "192.0.2.1")))
			for _, network := range []string{"udp", "tcp"} {
				a := ask(t, s, network, c.m)
				switch {
				case c.rcode == dropped:
					if a != nil {
						t.Errorf("answered: %x", a)
					}
				case len(a) < headerLen || be.Uint16(a) != 7 || a[2]&0x80 == 0:
					t.Errorf("answered %x", a)
				case int(a[3]&0xf) != c.rcode:
					t.Errorf("rcode %d, want %d", a[3]&0xf, c.rcode)
				}
			}
		})
	}
}

// nameOf is a query for a name of so many bytes on the wire.
func nameOf(size int) []byte {
	m := query4(7, "", typeA, 0)[:headerLen]
	left := size - 1
	for left > 0 {
		n := min(63, left-1)
		m = append(m, byte(n))
		m = append(m, make([]byte, n)...)
		for i := range n {
			m[len(m)-1-i] = 'n'
		}
		left -= 1 + n
	}
	return append(m, 0, 0, 1, 0, 1)
}
