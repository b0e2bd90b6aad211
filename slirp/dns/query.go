package dns

import "slices"

// query is a message that asks one question.
type query struct {
	raw      []byte
	id       uint16
	flags    uint16
	question []byte // name, type and class, in raw
	kind     uint16 // the type that is asked for
	class    uint16

	size  int // what an answer by UDP may have
	edns  bool
	do    bool // DNSSEC records are wanted
	plain bool // nothing is asked for that the cache's key does not tell
}

// parse understands a message; when it is no query that can be served, the answer
// to it, or nil.
func parse(m []byte) (q *query, refusal []byte) {
	if len(m) < headerLen || len(m) > maxMessage {
		return nil, nil
	}
	flags := be.Uint16(m[2:])
	switch {
	case flags&flagResponse != 0:
		return nil, nil // two servers could go on answering each other
	case flags&maskOpcode != 0:
		return nil, refuse(m, rcodeNotImplemented)
	case be.Uint16(m[4:]) != 1:
		return nil, refuse(m, rcodeFormatError)
	}
	end, pointer, ok := skipName(m, headerLen)
	if !ok || pointer || end+4 > len(m) {
		return nil, refuse(m, rcodeFormatError)
	}
	q = &query{raw: m, id: be.Uint16(m), flags: flags, question: m[headerLen : end+4],
		kind: be.Uint16(m[end:]), class: be.Uint16(m[end+2:]), size: minSize,
		plain: flags&^(flagRecursion|flagAuthentic|flagNoCheck) == 0}
	w := walk(m, end+4)
	for r := range w.all {
		if r.kind != typeOPT {
			q.plain = false
			continue
		}
		if q.edns || r.section != inAdditional || m[r.start] != 0 {
			return nil, refuse(m, rcodeFormatError)
		}
		q.edns = true
		q.size = min(max(minSize, int(r.class)), maxPayload)
		q.do = r.ttl&flagDNSSECOK != 0
		q.plain = q.plain && len(r.data) == 0 && r.ttl&^flagDNSSECOK == 0
	}
	if w.bad || w.at != len(m) {
		return nil, refuse(m, rcodeFormatError)
	}
	return q, nil
}

// refuse is an answer to a message of which only the header is understood.
func refuse(m []byte, rcode uint16) []byte {
	r := make([]byte, headerLen)
	copy(r, m[:2])
	be.PutUint16(r[2:], flagResponse|be.Uint16(m[2:])&(maskOpcode|flagRecursion)|flagAvailable|rcode)
	return r
}

func (q *query) clone() *query {
	c := *q
	c.raw = slices.Clone(q.raw)
	c.question = c.raw[headerLen : headerLen+len(q.question)]
	return &c
}

// same is equal for queries that deserve the same answer whatever they contain:
// all of it but the id and the question's case.
func (q *query) same() string {
	end := headerLen + len(q.question)
	return string(q.raw[2:headerLen]) + string(q.name()) + string(q.raw[end-4:])
}

// name is the name asked for, on the wire, in lower case.
func (q *query) name() []byte { return lower(q.question[:len(q.question)-4]) }

// finish makes a message the answer to this query by UDP or TCP: its id, its question
// as it was written, its limit.
func (q *query) finish(m []byte, limit int) []byte {
	be.PutUint16(m, q.id)
	copy(m[headerLen:], q.question)
	return cut(m, headerLen+len(q.question), limit)
}

// reply begins an answer made here.
func (q *query) reply(rcode uint16) *reply {
	m := make([]byte, headerLen, 256)
	be.PutUint16(m, q.id)
	be.PutUint16(m[2:], flagResponse|q.flags&(flagRecursion|flagNoCheck)|flagAvailable|rcode)
	be.PutUint16(m[4:], 1)
	return &reply{q, append(m, q.question...)}
}

// reply is an answer that is being made.
type reply struct {
	q *query
	m []byte
}

// record adds a record of the question's name. One that the message has no room for
// is left out.
func (r *reply) record(kind uint16, ttl uint32, data []byte) {
	if len(r.m)+12+len(data) > maxMessage-512 {
		return
	}
	r.m = append(r.m, 0xc0, headerLen) // pointer to the question
	r.m = be.AppendUint16(r.m, kind)
	r.m = be.AppendUint16(r.m, classIN)
	r.m = be.AppendUint32(r.m, ttl)
	r.m = be.AppendUint16(r.m, uint16(len(data)))
	r.m = append(r.m, data...)
	be.PutUint16(r.m[6:], be.Uint16(r.m[6:])+1)
}

// done ends the answer. To a client of EDNS it can say what went wrong.
func (r *reply) done(wrong string) []byte {
	if !r.q.edns {
		return r.m
	}
	var ttl uint32
	if r.q.do {
		ttl = flagDNSSECOK
	}
	wrong = wrong[:min(len(wrong), 200)]
	r.m = append(r.m, 0)
	r.m = be.AppendUint16(r.m, typeOPT)
	r.m = be.AppendUint16(r.m, 1232) // the size that DNS flag day 2020 recommends
	r.m = be.AppendUint32(r.m, ttl)
	if wrong == "" {
		r.m = be.AppendUint16(r.m, 0)
	} else {
		r.m = be.AppendUint16(r.m, uint16(6+len(wrong)))
		r.m = be.AppendUint16(r.m, optionError)
		r.m = be.AppendUint16(r.m, uint16(2+len(wrong)))
		r.m = be.AppendUint16(r.m, networkError)
		r.m = append(r.m, wrong...)
	}
	be.PutUint16(r.m[10:], 1)
	return r.m
}
