package lan

import (
	"slices"
	"sync/atomic"
)

// peer is another member, known by one connection or two.
type peer struct {
	Member
	session string
	conns   int
	tap     *device
}

// welcome makes a peer of whoever said hello, and takes tap over. It gives nil for one
// that has no business here.
func (l *LAN) welcome(h hello, tap *device) *peer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || h.Session == l.session || h.MAC == l.self.MAC || clash(h.Member, l.self) {
		tap.shut()
		return nil
	}
	for _, p := range l.peers {
		if p.session == h.Session { // the same one, connected both ways
			tap.shut()
			p.conns++
			return p
		}
	}
	p := &peer{Member: h.Member, session: h.Session, conns: 1, tap: tap}
	l.peers = append(l.peers, p)
	l.rebuild()
	return p
}

// forget takes one connection off a peer, and with the last one the peer.
func (l *LAN) forget(p *peer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.conns--; p.conns > 0 {
		return
	}
	l.peers = slices.DeleteFunc(l.peers, func(q *peer) bool { return p == q })
	l.rebuild()
	p.tap.shut()
}

// device is a tap descriptor that is written to by some while others close it. A
// closed descriptor's number belongs to the next file that is opened, so a write must
// never meet it: the last user closes.
type device struct {
	fd    int
	close func(fd int) error
	state atomic.Int64 // users, and shutting once it is to be closed
}

const shutting = 1 << 62

// use says that the descriptor is in use until done; false when it is too late.
func (d *device) use() bool {
	if d.state.Add(1)&shutting != 0 {
		d.done()
		return false
	}
	return true
}

func (d *device) done() {
	if d.state.Add(-1) == shutting {
		d.finish()
	}
}

// shut closes the descriptor as soon as nobody uses it. It is called once.
func (d *device) shut() {
	if d.state.Or(shutting) == 0 {
		d.finish()
	}
}

// finish closes it once: a use that came too late may have been the last too.
func (d *device) finish() {
	const finished = shutting | 1<<61
	if d.state.CompareAndSwap(shutting, finished) {
		d.close(d.fd)
	}
}
