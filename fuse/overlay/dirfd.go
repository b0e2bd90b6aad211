package overlay

import (
	"sync"
	"sync/atomic"
)

// dirfd is an open directory of a layer, or a node's open file. Those in use are held by a reference,
// the others by a cache of bounded size: 200 layers times a deep tree must not cost
// all descriptors there are.
type dirfd struct {
	fd     int
	writes bool // a file, open for writing too
	refs   atomic.Int32
	used   atomic.Bool            // since the cache looked last
	home   *atomic.Pointer[dirfd] // where it can be found; nil'ed when it is dropped
}

func (d *dirfd) ref() bool {
	for {
		n := d.refs.Load()
		if n == 0 {
			return false
		}
		if d.refs.CompareAndSwap(n, n+1) {
			if !d.used.Load() {
				d.used.Store(true)
			}
			return true
		}
	}
}

func (d *dirfd) release() {
	if d.refs.Add(-1) == 0 {
		closeFD(d.fd)
	}
}

// dirfds drops the one that was not used for the longest time, nearly: a clock
// that gives everything used since its last turn a second chance.
type dirfds struct {
	mu    sync.Mutex
	ring  []*dirfd
	hand  int
	limit int
}

func (c *dirfds) add(d *dirfd) {
	c.mu.Lock()
	if len(c.ring) < c.limit {
		c.ring = append(c.ring, d)
		c.mu.Unlock()
		return
	}
	for c.ring[c.hand].used.Swap(false) {
		c.hand = (c.hand + 1) % len(c.ring)
	}
	old := c.ring[c.hand]
	c.ring[c.hand] = d
	c.hand = (c.hand + 1) % len(c.ring)
	c.mu.Unlock()
	old.drop()
}

// empty closes what nobody uses now.
func (c *dirfds) empty() {
	c.mu.Lock()
	ring := c.ring
	c.ring, c.hand = nil, 0
	c.mu.Unlock()
	for _, d := range ring {
		d.drop()
	}
}

// drop takes it from its home; who is using it goes on.
func (d *dirfd) drop() {
	if d.home.CompareAndSwap(d, nil) {
		d.release()
	}
}
