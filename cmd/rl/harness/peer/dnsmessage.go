package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// As much of RFC 1035 as the tests speak; written here, apart from what they test.
const (
	typeA     = 1
	typeCNAME = 5
	typeSOA   = 6
	typePTR   = 12
	typeTXT   = 16
	typeAAAA  = 28
	typeOPT   = 41

	flagAnswer     = 1 << 15
	flagTruncated  = 1 << 9
	flagRD, flagRA = 1 << 8, 1 << 7
)

var (
	types  = map[string]uint16{"A": typeA, "CNAME": typeCNAME, "SOA": typeSOA, "PTR": typePTR, "TXT": typeTXT, "AAAA": typeAAAA}
	rcodes = []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}
)

type question struct {
	id    uint16
	name  string // lower case, no dot at the end
	raw   []byte // as it came
	typ   uint16
	edns  int // the size the client takes; 0: it does not speak EDNS
	flags uint16
}

func appendName(b []byte, name string) []byte {
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label != "" {
			b = append(append(b, byte(len(label))), label...)
		}
	}
	return append(b, 0)
}

// appendRecord writes a record whose name is given in full.
func appendRecord(b []byte, name string, typ uint16, ttl uint32, data []byte) []byte {
	b = appendName(b, name)
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, 1)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

var errMessage = errors.New("a malformed DNS message")

// readName follows pointers, a bounded number of them.
func readName(b []byte, at int) (name string, next int, err error) {
	var labels []string
	next = -1
	for range 128 {
		if at >= len(b) {
			return "", 0, errMessage
		}
		n := int(b[at])
		switch {
		case n == 0:
			if next < 0 {
				next = at + 1
			}
			return strings.Join(labels, "."), next, nil
		case n >= 0xc0 && at+1 < len(b):
			if next < 0 {
				next = at + 2
			}
			at = (n&0x3f)<<8 | int(b[at+1])
		case n < 64 && at+1+n <= len(b):
			labels = append(labels, string(b[at+1:at+1+n]))
			at += 1 + n
		default:
			return "", 0, errMessage
		}
	}
	return "", 0, errMessage
}

func parseQuestion(b []byte) (q question, err error) {
	if len(b) < 12 || binary.BigEndian.Uint16(b[4:]) != 1 {
		return q, errMessage
	}
	q.id, q.flags = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	name, at, err := readName(b, 12)
	if err != nil || at+4 > len(b) {
		return q, errMessage
	}
	q.name, q.raw, q.typ = strings.ToLower(name), b[12:at+4], binary.BigEndian.Uint16(b[at:])
	if rest := b[at+4:]; len(rest) >= 11 && rest[0] == 0 && binary.BigEndian.Uint16(rest[1:]) == typeOPT {
		q.edns = int(binary.BigEndian.Uint16(rest[3:]))
	}
	return q, nil
}

// describe writes a message as one line for its header and one a record.
func describe(b []byte) (string, error) {
	if len(b) < 12 {
		return "", errMessage
	}
	flags := binary.BigEndian.Uint16(b[2:])
	var out strings.Builder
	rcode := fmt.Sprint(flags & 15)
	if int(flags&15) < len(rcodes) {
		rcode = rcodes[flags&15]
	}
	fmt.Fprintf(&out, "%s", rcode)
	if flags&flagTruncated != 0 {
		out.WriteString(" TC")
	}
	counts := [4]int{}
	for i := range counts {
		counts[i] = int(binary.BigEndian.Uint16(b[4+2*i:]))
	}
	fmt.Fprintf(&out, " answers=%d bytes=%d\n", counts[1], len(b))
	at := 12
	for range counts[0] {
		_, next, err := readName(b, at)
		if err != nil {
			return "", err
		}
		at = next + 4
	}
	for range counts[1] {
		name, next, err := readName(b, at)
		if err != nil || next+10 > len(b) {
			return "", errMessage
		}
		typ, ttl := binary.BigEndian.Uint16(b[next:]), binary.BigEndian.Uint32(b[next+4:])
		end := next + 10 + int(binary.BigEndian.Uint16(b[next+8:]))
		if end > len(b) {
			return "", errMessage
		}
		data, text := b[next+10:end], ""
		switch typ {
		case typeA, typeAAAA:
			a, _ := netip.AddrFromSlice(data)
			text = a.String()
		case typeCNAME, typePTR:
			if text, _, err = readName(b, next+10); err != nil {
				return "", err
			}
		case typeTXT:
			if len(data) > 0 && len(data) < 200 {
				text = string(data[1:])
			} else {
				text = fmt.Sprintf("%d bytes", len(data))
			}
		}
		kind := fmt.Sprint(typ)
		for k, v := range types {
			if v == typ {
				kind = k
			}
		}
		fmt.Fprintf(&out, "%s %s %s ttl=%d\n", name, kind, text, ttl)
		at = end
	}
	return out.String(), nil
}
