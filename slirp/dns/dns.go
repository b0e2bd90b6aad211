// Package dns is the name server that a container sees: a relay to the
// resolvers of the host as they are now, in front of it a few local names and
// a small cache.
//
//	datagram ─▶ UDP ─┐                                        ┌─▶ 1st resolver of the host
//	                 ├─▶ parse ─▶ Names ─▶ cache ─▶ flights ─▶├─▶ 2nd, when the 1st is silent or fails
//	stream ───▶ TCP ─┘              ╰ local answer  ╰ same    └─▶ 3rd
//	                                                  query once
//
// A query goes to the host's resolvers as it came, EDNS and all, but for its
// id, and by the transport by which it came. An answer goes back as it came, but
// for id, the case of the question (a client may have mixed it to detect
// forgeries), and TTLs when it was cached. What exceeds the client's limit is
// cut between two records and says so (TC); the client asks again by TCP.
//
// Every question to the host's resolvers has a socket of its own, so a port that
// the kernel chose at random, and a random id. An answer counts when address, port,
// id and question are right.
//
// What it refuses: more than one question in a message (FORMERR), zone transfers
// (REFUSED), anything but queries (NOTIMP), and more queries at a time than its
// bounds. Messages that are no queries at all are dropped. It does not validate
// DNSSEC: it passes what it takes to do so.
package dns

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Config is what a server needs to know. The zero value answers SERVFAIL to
// everything.
type Config struct {
	// Upstreams gives the host's resolvers, best first. It is called for every query,
	// by several goroutines, and its result is not changed. See [HostResolvers].
	Upstreams func() []netip.AddrPort

	Names    Names       // local names; nil: none
	Internal func() bool // nothing leaves: what Names does not know does not exist (NXDOMAIN); nil: never

	// Dial connects to a resolver; nil is net.Dialer's. The network is udp or tcp, and
	// a udp connection receives from addr only.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Names are names that are answered here. Both may be called by several
// goroutines.
type Names interface {
	// Lookup gives the addresses of a name, lower case and without a final dot. A name
	// that is found exists: it has no other records than these.
	Lookup(name string) (addrs []netip.Addr, found bool)
	// Reverse gives the name of an address.
	Reverse(a netip.Addr) (name string, found bool)
}

// The bounds. A query by UDP beyond is dropped, as by a busy server; one by TCP waits;
// a connection beyond is closed.
const (
	maxDatagrams = 256
	maxStreamed  = 64 // queries by TCP at a time
	maxPipelined = 8  // of them, of one connection
	maxConns     = 128
)

// pace says how long is waited. The tests are less patient.
type pace struct {
	next  time.Duration // for a resolver, before the next one is asked too
	total time.Duration // for an answer
	idle  time.Duration // for the next query or for taking an answer, of a TCP connection
}

// Server answers queries. It has no goroutines but those that serve a query.
type Server struct {
	Config
	pace    pace
	now     func() time.Duration // since some fixed time
	cache   *cache
	flights flights

	datagrams, streamed, conns chan struct{} // hold what is being served
}

// New makes a server.
func New(c Config) *Server {
	if c.Upstreams == nil {
		c.Upstreams = func() []netip.AddrPort { return nil }
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return &Server{
		Config:    c,
		pace:      pace{next: 2 * time.Second, total: 10 * time.Second, idle: 30 * time.Second},
		now:       sinceBoot,
		cache:     newCache(maxEntries, maxBytes),
		datagrams: make(chan struct{}, maxDatagrams),
		streamed:  make(chan struct{}, maxStreamed),
		conns:     make(chan struct{}, maxConns),
	}
}

// sinceBoot is the time that TTLs run by: unlike the monotonic clock, it includes the
// hours a laptop slept; unlike the wall clock, nobody sets it.
func sinceBoot() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// UDP handles one datagram and calls reply at most once, before it returns. It
// blocks until there is an answer: the caller has a goroutine for it. The query is
// not changed, and not used after the return.
func (s *Server) UDP(ctx context.Context, query []byte, reply func([]byte)) {
	select {
	case s.datagrams <- struct{}{}:
		defer func() { <-s.datagrams }()
	default:
		return
	}
	if m := s.serve(ctx, "udp", query); m != nil {
		reply(m)
	}
}

// serve gives the answer to a message, nil when it deserves none.
func (s *Server) serve(ctx context.Context, network string, message []byte) []byte {
	q, refusal := parse(message)
	if q == nil {
		return refusal
	}
	m := s.answer(ctx, network, q)
	if m == nil {
		return nil
	}
	limit := maxMessage
	if network == "udp" {
		limit = q.size
	}
	return q.finish(m, limit)
}

// answer gives a message that is the caller's to change, nil when the context ended
// before there was one.
func (s *Server) answer(ctx context.Context, network string, q *query) []byte {
	if q.kind == typeAXFR || q.kind == typeIXFR {
		return q.reply(rcodeRefused).done("")
	}
	if m := s.local(q); m != nil {
		return m
	}
	if s.Internal != nil && s.Internal() {
		return q.reply(rcodeNameError).done("")
	}
	ups := s.Upstreams()
	if len(ups) == 0 {
		return q.reply(rcodeServerFailure).done("the host has no resolver")
	}
	if m := s.cache.get(q, ups, s.now()); m != nil {
		return m
	}
	// The query outlives this call when others wait for the same answer.
	own := q.clone()
	a, err := s.flights.do(ctx, network+own.same(), func(ctx context.Context) (*answer, error) {
		a, err := s.exchange(ctx, network, own, ups)
		if err == nil {
			s.cache.put(own, ups, a, s.now())
		}
		return a, err
	})
	switch {
	case err == nil:
		return slices.Clone(a.raw)
	case ctx.Err() != nil:
		return nil
	default:
		return q.reply(rcodeServerFailure).done(err.Error())
	}
}
