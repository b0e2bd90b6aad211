package dns

import (
	"container/list"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxEntries = 1000
	maxBytes   = 1 << 20
	maxTTL     = 3600 // seconds
)

// cache keeps answers as long as they say, the least recently used goes first. It
// belongs to a list of resolvers: when the host gets others, by a VPN perhaps, what the
// old ones said is forgotten.
type cache struct {
	mu      sync.Mutex
	of      []netip.AddrPort
	entries map[string]*list.Element
	used    list.List // of *entry, most recently used first
	bytes   int

	maxEntries, maxBytes int
}

type entry struct {
	key string
	*answer
	since time.Duration
}

// size is what an entry weighs, with the maps and lists around it.
func (e *entry) size() int { return len(e.key) + len(e.raw) + 2*len(e.ttls) + 256 }

func newCache(entries, bytes int) *cache {
	return &cache{entries: map[string]*list.Element{}, maxEntries: entries, maxBytes: bytes}
}

// key tells apart queries that deserve different answers: by the question, by
// EDNS, and by what they ask of DNSSEC.
func (q *query) key() string {
	k := append(q.name(), q.question[len(q.question)-4:]...)
	k = be.AppendUint16(k, q.flags&(flagRecursion|flagAuthentic|flagNoCheck))
	for _, b := range []bool{q.edns, q.do} {
		if b {
			k = append(k, 1)
		} else {
			k = append(k, 0)
		}
	}
	return string(k)
}

// get gives a copy of an answer, its TTLs counted down, or nil.
func (c *cache) get(q *query, ups []netip.AddrPort, now time.Duration) []byte {
	if !q.plain {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.of, ups) {
		clear(c.entries)
		c.used.Init()
		c.bytes = 0
		c.of = slices.Clone(ups)
		return nil
	}
	el := c.entries[q.key()]
	if el == nil {
		return nil
	}
	e := el.Value.(*entry)
	age := uint32((now - e.since) / time.Second)
	if now < e.since || age >= e.ttl {
		c.remove(el)
		return nil
	}
	c.used.MoveToFront(el)
	m := slices.Clone(e.raw)
	be.PutUint16(m[2:], be.Uint16(m[2:])&^flagAuthority) // the authority said it then
	for _, at := range e.ttls {
		be.PutUint32(m[at:], be.Uint32(m[at:])-age)
	}
	return m
}

// put keeps an answer of some resolvers if it may be kept.
func (c *cache) put(q *query, ups []netip.AddrPort, a *answer, now time.Duration) {
	e := &entry{q.key(), a, now}
	if !q.plain || a.ttl == 0 || e.size() > c.maxBytes/8 {
		return
	}
	e.answer = &answer{raw: slices.Clone(a.raw), ttl: a.ttl, ttls: slices.Clone(a.ttls)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.of, ups) {
		return // the host has others by now
	}
	if el := c.entries[e.key]; el != nil {
		c.remove(el)
	}
	c.entries[e.key] = c.used.PushFront(e)
	c.bytes += e.size()
	for len(c.entries) > c.maxEntries || c.bytes > c.maxBytes {
		c.remove(c.used.Back())
	}
}

func (c *cache) remove(el *list.Element) {
	e := c.used.Remove(el).(*entry)
	delete(c.entries, e.key)
	c.bytes -= e.size()
}
