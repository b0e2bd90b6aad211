package dns

import "encoding/binary"

// The parts of RFC 1035 and RFC 6891 that a relay must understand.
const (
	headerLen  = 12
	maxName    = 255
	maxMessage = 65535
	maxPayload = 65507 // of a datagram by IPv4
	minSize    = 512   // what every client of UDP takes

	flagResponse  = 1 << 15
	maskOpcode    = 0xf << 11
	flagAuthority = 1 << 10
	flagTruncated = 1 << 9
	flagRecursion = 1 << 8 // desired
	flagAvailable = 1 << 7 // recursion is
	flagAuthentic = 1 << 5
	flagNoCheck   = 1 << 4 // checking disabled
	maskRcode     = 0xf

	flagDNSSECOK = 1 << 15 // of OPT's flags

	typeA    = 1
	typeSOA  = 6
	typePTR  = 12
	typeAAAA = 28
	typeOPT  = 41
	typeIXFR = 251
	typeAXFR = 252
	typeANY  = 255

	classIN  = 1
	classANY = 255

	rcodeSuccess        = 0
	rcodeFormatError    = 1
	rcodeServerFailure  = 2
	rcodeNameError      = 3
	rcodeNotImplemented = 4
	rcodeRefused        = 5

	optionError  = 15 // RFC 8914, extended errors
	networkError = 23 // one of them
)

var be = binary.BigEndian

// The sections after the question, as indices of a walker's counts.
const (
	inAnswer = iota
	inAuthority
	inAdditional
)

// record is a resource record where it lies.
type record struct {
	section     int
	kind, class uint16
	ttl         uint32
	data        []byte

	start, ttlAt, end int // offsets in the message
}

// walker goes through a message's records.
type walker struct {
	m    []byte
	at   int // where the next record begins
	left [3]int
	bad  bool // the message ends before its records do
}

// walk begins behind the question, which ends at an offset.
func walk(m []byte, at int) *walker {
	w := &walker{m: m, at: at}
	for i := range w.left {
		w.left[i] = int(be.Uint16(m[6+2*i:]))
	}
	return w
}

// all gives the records in order, up to where the message is bad.
func (w *walker) all(yield func(record) bool) {
	for section := range w.left {
		for ; w.left[section] > 0; w.left[section]-- {
			r, ok := readRecord(w.m, w.at)
			if !ok {
				w.bad = true
				return
			}
			r.section, w.at = section, r.end
			if !yield(r) {
				return
			}
		}
	}
}

func readRecord(m []byte, at int) (r record, ok bool) {
	fixed, _, ok := skipName(m, at)
	if !ok || fixed+10 > len(m) {
		return r, false
	}
	f := m[fixed:]
	r = record{kind: be.Uint16(f), class: be.Uint16(f[2:]), ttl: be.Uint32(f[4:]),
		start: at, ttlAt: fixed + 4, end: fixed + 10 + int(be.Uint16(f[8:]))}
	if r.end > len(m) {
		return r, false
	}
	r.data = m[fixed+10 : r.end]
	return r, true
}

// skipName gives the offset behind a name, and whether it ends by a pointer. Where that
// leads does not matter to a relay.
func skipName(m []byte, at int) (end int, pointer, ok bool) {
	for start := at; at < len(m) && at-start < maxName; {
		switch n := int(m[at]); {
		case n == 0:
			return at + 1, false, true
		case n >= 0xc0:
			return at + 2, true, at+2 <= len(m)
		case n >= 0x40:
			return 0, false, false
		default:
			at += 1 + n
		}
	}
	return 0, false, false
}

// lower is b in lower case. Length bytes of labels are below 'A', so a name on the wire
// can be treated as text.
func lower(b []byte) []byte {
	l := make([]byte, len(b))
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		l[i] = c
	}
	return l
}

// cut shortens a message to a limit, to whole records of its answer and
// its OPT record, and says so. It must be one that can be walked.
func cut(m []byte, question, limit int) []byte {
	if len(m) <= limit {
		return m
	}
	var opt []byte
	for r := range walk(m, question).all {
		if r.kind == typeOPT && question+r.end-r.start <= limit {
			opt = append(opt[:0], m[r.start:r.end]...)
		}
	}
	end, answers := question, 0
	for r := range walk(m, question).all {
		if r.section != inAnswer || r.end+len(opt) > limit {
			break
		}
		end = r.end
		answers++
	}
	m = append(m[:end], opt...)
	be.PutUint16(m[2:], be.Uint16(m[2:])|flagTruncated)
	be.PutUint16(m[6:], uint16(answers))
	be.PutUint16(m[8:], 0)
	be.PutUint16(m[10:], uint16(min(len(opt), 1)))
	return m
}
