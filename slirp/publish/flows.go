package publish

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	// MaxFlows is how many UDP clients a server remembers.
	MaxFlows = 4096

	// A client that never got an answer is forgotten sooner. As in the kernel's
	// connection tracking: nf_conntrack_udp_timeout_stream is 120 to 180 s.
	unansweredTimeout = 60 * time.Second
	answeredTimeout   = 180 * time.Second
)

// flows is the table of UDP clients that are being served.
type flows struct {
	max                  int
	unanswered, answered time.Duration // timeouts

	mu     sync.Mutex
	table  map[clientKey]*udpFlow
	queues [2]list.List // of *udpFlow, by udpFlow.heard: the one that was silent longest first
	sweep  *time.Timer
	closed bool
}

// A clientKey says where answers go, and come from.
type clientKey struct {
	door   *door
	client netip.AddrPort
	local  netip.Addr // the host's address that the client sent to
}

// udpFlow is one client of one published port.
type udpFlow struct {
	key   clientKey
	to    *address // of the client
	inner net.Conn
	raw   syscall.RawConn // of inner, nil when that is no kernel socket

	// of the table
	heard int // 1 once the container has answered
	place *list.Element
	last  time.Time
}

func (t *flows) init() {
	t.max, t.unanswered, t.answered = MaxFlows, unansweredTimeout, answeredTimeout
	t.table = map[clientKey]*udpFlow{}
}

// find gives the flow of a client that has just sent something, if it has one.
func (t *flows) find(key clientKey) *udpFlow {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.table[key]
	if f != nil {
		t.touch(f, f.heard)
	}
	return f
}

// add remembers a flow; an old one makes room for it.
func (t *flows) add(f *udpFlow) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return net.ErrClosed
	}
	if len(t.table) >= t.max {
		for i := range t.queues {
			if oldest := t.queues[i].Front(); oldest != nil {
				t.forget(oldest.Value.(*udpFlow))
				break
			}
		}
	}
	t.table[f.key] = f
	t.touch(f, 0)
	if t.sweep == nil {
		t.sweep = time.AfterFunc(t.unanswered, t.expire)
	}
	return nil
}

// answer notes that the container has sent something.
func (t *flows) answer(f *udpFlow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.table[f.key] == f {
		t.touch(f, 1)
	}
}

// remove ends a flow.
func (t *flows) remove(f *udpFlow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(f)
}

func (t *flows) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, f := range t.table {
		t.forget(f)
	}
	if t.sweep != nil {
		t.sweep.Stop()
	}
}

// touch moves a flow to the end of its queue.
func (t *flows) touch(f *udpFlow, heard int) {
	f.last = time.Now()
	if f.place != nil && f.heard == heard {
		t.queues[heard].MoveToBack(f.place)
		return
	}
	if f.place != nil {
		t.queues[f.heard].Remove(f.place)
	}
	f.heard = heard
	f.place = t.queues[heard].PushBack(f)
}

// forget closes the flow's socket, which ends its goroutine.
func (t *flows) forget(f *udpFlow) {
	if t.table[f.key] == f {
		delete(t.table, f.key)
		t.queues[f.heard].Remove(f.place)
	}
	f.inner.Close()
}

// expire forgets those that were silent for too long, and comes again as long as
// there are others: without flows there is no timer.
func (t *flows) expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	now, next := time.Now(), time.Duration(-1)
	for i, timeout := range []time.Duration{t.unanswered, t.answered} {
		for e := t.queues[i].Front(); e != nil; e = t.queues[i].Front() {
			f := e.Value.(*udpFlow)
			if left := timeout - now.Sub(f.last); left > 0 {
				if next < 0 || left < next {
					next = left
				}
				break
			}
			t.forget(f)
		}
	}
	if t.sweep = nil; next >= 0 {
		t.sweep = time.AfterFunc(max(next, t.unanswered/64), t.expire) // not once for each of many
	}
}
