package bus

import (
	"encoding/binary"
	"errors"
)

// Types of messages.
const (
	typeCall   = 1
	typeReply  = 2
	typeError  = 3
	typeSignal = 4
)

// noAutoStart keeps the bus from starting a service that does not run.
const noAutoStart = 2

// Fields of a header.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSignature   = 8
)

// maxMessage is the longest message that is read. What a service manager says of a
// job has some hundred bytes.
const maxMessage = 1 << 20

// Body is the arguments of a call, written one after the other. Numbers are aligned to
// their size, counted from the beginning.
type Body struct {
	sig string
	b   []byte
}

func (b *Body) align(n int) {
	for len(b.b)%n != 0 {
		b.b = append(b.b, 0)
	}
}

func (b *Body) u32(n uint32) {
	b.align(4)
	b.b = binary.LittleEndian.AppendUint32(b.b, n)
}

func (b *Body) str(s string) {
	b.u32(uint32(len(s)))
	b.b = append(append(b.b, s...), 0)
}

func (b *Body) signature(s string) { b.b = append(append(append(b.b, byte(len(s))), s...), 0) }

// String adds a string.
func (b *Body) String(s string) *Body {
	b.sig += "s"
	b.str(s)
	return b
}

// Properties adds a list of names and values, a(sv). Values are strings, booleans,
// uint64 or []uint32.
func (b *Body) Properties(list []Property) *Body {
	b.sig += "a(sv)"
	b.array(func() {
		for _, p := range list {
			b.align(8)
			b.str(p.Name)
			b.variant(p.Value)
		}
	})
	return b
}

// NoUnits adds an empty list of further units, a(sa(sv)).
func (b *Body) NoUnits() *Body {
	b.sig += "a(sa(sv))"
	b.array(func() {})
	return b
}

// Property is one of a unit's.
type Property struct {
	Name  string
	Value any
}

// array writes a list of structures behind its length, which does not count the
// padding before the first.
func (b *Body) array(fill func()) {
	b.u32(0)
	at := len(b.b) - 4
	b.align(8)
	from := len(b.b)
	fill()
	binary.LittleEndian.PutUint32(b.b[at:], uint32(len(b.b)-from))
}

func (b *Body) variant(v any) {
	switch v := v.(type) {
	case string:
		b.signature("s")
		b.str(v)
	case bool:
		b.signature("b")
		n := uint32(0)
		if v {
			n = 1
		}
		b.u32(n)
	case uint64:
		b.signature("t")
		b.align(8)
		b.b = binary.LittleEndian.AppendUint64(b.b, v)
	case []uint32:
		b.signature("au")
		b.u32(uint32(4 * len(v)))
		for _, n := range v {
			b.u32(n)
		}
	}
}

// call is a method call as bytes.
func call(serial uint32, dest, path, iface, member string, body *Body) []byte {
	if body == nil {
		body = new(Body)
	}
	m := Body{b: []byte{'l', typeCall, noAutoStart, 1}}
	m.u32(uint32(len(body.b)))
	m.u32(serial)
	m.array(func() {
		for _, f := range []struct {
			code     byte
			sig, val string
		}{
			{fieldPath, "o", path}, {fieldInterface, "s", iface}, {fieldMember, "s", member}, {fieldDestination, "s", dest},
		} {
			m.align(8)
			m.b = append(m.b, f.code)
			m.signature(f.sig)
			m.str(f.val)
		}
		if body.sig != "" {
			m.align(8)
			m.b = append(m.b, fieldSignature)
			m.signature("g")
			m.signature(body.sig)
		}
	})
	m.align(8)
	return append(m.b, body.b...)
}

// Message is one that came.
type Message struct {
	kind      byte
	serial    uint32 // of the call that it answers
	Member    string // of a signal
	ErrorName string
	sig       string
	body      []byte
	order     binary.ByteOrder
}

var errMalformed = errors.New("a message of the bus makes no sense")

// size is how long the message is that begins with these 16 bytes.
func size(head []byte) (int, error) {
	order, err := orderOf(head[0])
	if err != nil {
		return 0, err
	}
	body, fields := order.Uint32(head[4:]), order.Uint32(head[12:])
	if body > maxMessage || fields > maxMessage {
		return 0, errMalformed
	}
	return 16 + int(fields+7)&^7 + int(body), nil
}

func orderOf(c byte) (binary.ByteOrder, error) {
	switch c {
	case 'l':
		return binary.LittleEndian, nil
	case 'B':
		return binary.BigEndian, nil
	}
	return nil, errMalformed
}

// parse reads a whole message.
func parse(b []byte) (*Message, error) {
	if len(b) < 16 {
		return nil, errMalformed
	}
	n, err := size(b)
	if err != nil || n != len(b) {
		return nil, errMalformed
	}
	order, _ := orderOf(b[0])
	m := &Message{kind: b[1], order: order}
	end := 16 + int(order.Uint32(b[12:]))
	r := reader{b: b[:end], at: 16, order: order}
	for r.at < end && !r.bad {
		r.align(8)
		code := r.byte()
		var n uint32
		var s string
		switch r.signature() {
		case "s", "o":
			s = r.str()
		case "g":
			s = r.signature()
		case "u":
			n = r.u32()
		default:
			return nil, errMalformed
		}
		switch code {
		case fieldMember:
			m.Member = s
		case fieldErrorName:
			m.ErrorName = s
		case fieldReplySerial:
			m.serial = n
		case fieldSignature:
			m.sig = s
		}
	}
	if r.bad {
		return nil, errMalformed
	}
	m.body = b[(end+7)&^7:]
	return m, nil
}

// Strings gives the arguments of a message that are strings, object paths or
// numbers, as far as there are no others before; numbers are left out.
func (m *Message) Strings() []string {
	r := reader{b: m.body, order: m.order}
	var list []string
	for _, c := range m.sig {
		switch c {
		case 's', 'o':
			s := r.str()
			if r.bad {
				return list
			}
			list = append(list, s)
		case 'u', 'i', 'b':
			r.u32()
		default:
			return list
		}
	}
	return list
}

// Number gives the first argument, a number.
func (m *Message) Number() (uint32, bool) {
	if len(m.sig) == 0 || m.sig[0] != 'u' {
		return 0, false
	}
	r := reader{b: m.body, order: m.order}
	n := r.u32()
	return n, !r.bad
}

// reader takes values off bytes; bad says that they ended early.
type reader struct {
	b     []byte
	at    int
	order binary.ByteOrder
	bad   bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b)-r.at {
		r.bad = true
		return nil
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *reader) align(n int) { r.take((n - r.at%n) % n) }

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	r.align(4)
	if b := r.take(4); b != nil {
		return r.order.Uint32(b)
	}
	return 0
}

func (r *reader) str() string {
	n := r.u32()
	s := string(r.take(int(n)))
	r.take(1)
	return s
}

func (r *reader) signature() string {
	n := r.byte()
	s := string(r.take(int(n)))
	r.take(1)
	return s
}
