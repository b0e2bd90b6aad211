package fuse

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The buffer of a worker: see Request. A WRITE of maxData must fit, with its
// headers.
const (
	maxData     = 1 << 20
	dataAt      = 4096
	outAt       = 160 << 10 // after the longest SETXATTR
	scratchAt   = 512 << 10
	scratchSize = 256 << 10
	bufSize     = maxData + 8192
)

// Workers are started as needed. Each is a thread and up to a megabyte, of which it uses
// what its largest request was; so those beyond keptWorkers end with their request. That many
// are there for a file that takes a minute to be copied, and for whom many processes wait.
const (
	maxWorkers  = 512
	keptWorkers = 16
)

// Conn is a mounted connection. The kernel ends it when the mount goes away, or
// when all descriptors of it are closed: killing the server hangs nobody.
type Conn struct {
	dev     int
	want    uint64        // flags
	flags   atomic.Uint64 // what was agreed on
	handler Handler
	unfit   error // why INIT was refused

	turn    chan struct{} // taken by a worker that is to read
	leader  atomic.Pointer[worker]
	tick    atomic.Int64  // of the watch
	asleep  atomic.Bool   // the watch is, until
	wake    chan struct{} // somebody says that there is work
	started atomic.Int32
	group   sync.WaitGroup
	done    chan struct{}
	over    sync.Once     // closes gone
	gone    chan struct{} // closed when the kernel has ended the connection
	counts  [opMax]atomic.Uint64
}

// start begins to answer. INIT is the first request, and nothing else comes
// before its answer.
func (c *Conn) start(h Handler) error {
	c.handler = h
	w, err := c.newWorker(c.dev)
	if err != nil {
		return err
	}
	c.group.Go(w.loop)
	go c.watch()
	go func() {
		c.group.Wait()
		_ = unix.Close(c.dev)
		close(c.done)
	}()
	return nil
}

// Wait waits until the filesystem is unmounted, or else gone.
func (c *Conn) Wait() { <-c.done }

// Done is closed then.
func (c *Conn) Done() <-chan struct{} { return c.done }

// end has all workers end: there is nothing more to read.
func (c *Conn) end() { c.over.Do(func() { close(c.gone) }) }

// yield has another worker read, because this one is about to take long: it
// must not keep the others' requests waiting.
func (c *Conn) yield(w *worker) {
	if !w.leads.CompareAndSwap(true, false) {
		return
	}
	select {
	case <-c.gone:
		return
	case c.turn <- struct{}{}: // somebody was waiting
		return
	default:
	}
	if c.started.Load() < maxWorkers {
		fd, err := c.clone()
		if err != nil {
			fd = c.dev
		}
		if next, err := c.newWorker(fd); err == nil {
			c.group.Go(next.loop)
			return
		}
	}
	w.leads.Store(true) // none to be had: those there are must do
}

// watch takes the turn from a worker that has held it for long without saying so,
// as when a disk does not answer. It sleeps when nothing happens.
func (c *Conn) watch() {
	const period, patience = 4 * time.Millisecond, 50
	quiet := 0
	for {
		select {
		case <-c.done:
			return
		case <-time.After(period):
		}
		now := c.tick.Add(1)
		w := c.leader.Load()
		began := w.began.Load() &^ (1 << 62) // a mark, as a tick may be 0
		switch {
		case w.began.Load() == 0:
			quiet++
		case now-began >= 2:
			c.yield(w)
		default:
			quiet = 0
		}
		if quiet < patience {
			continue
		}
		quiet = 0
		c.asleep.Store(true)
		select {
		case <-c.done:
			return
		case <-c.wake:
		}
	}
}

// clone gives a worker its own queue of requests that are being answered, so
// that answers do not contend (FUSE_DEV_IOC_CLONE, Linux 4.2).
func (c *Conn) clone() (int, error) {
	fd, err := openDevice()
	if err != nil {
		return -1, err
	}
	const devIocClone = 0x8004e500
	if err := unix.IoctlSetPointerInt(fd, devIocClone, c.dev); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Counts tells how many requests of each opcode came.
func (c *Conn) Counts() map[uint32]uint64 {
	m := map[uint32]uint64{}
	for op := range c.counts {
		if n := c.counts[op].Load(); n > 0 {
			m[uint32(op)] = n
		}
	}
	return m
}

// init answers INIT.
func (c *Conn) init(r *Request) (int, syscall.Errno) {
	in := View[initIn](append(r.body[:len(r.body):len(r.body)], make([]byte, 64)...)) // older kernels send less
	out := Reply[initOut](r)
	if in.major != 7 || in.minor < 31 {
		c.unfit = fmt.Errorf("this kernel speaks FUSE %d.%d, and 7.31 (Linux 5.4) is needed", in.major, in.minor)
		return 0, syscall.EPROTO
	}
	offered := uint64(in.flags)
	if in.flags&initExt != 0 {
		offered |= uint64(in.flags2) << 32
	}
	const always = AsyncRead | BigWrites | DontMask | DoReaddirplus | AsyncDIO |
		ParallelDirops | MaxPages | CacheSymlinks | HandleKillprivV | SetxattrExt | initExt
	flags := offered & (always | c.want)
	c.flags.Store(flags)
	out.major, out.minor = 7, min(in.minor, 41)
	out.maxReadahead = in.maxReadahead
	out.flags, out.flags2 = uint32(flags), uint32(flags>>32)
	out.maxBackground, out.congestionThreshold = 64, 48
	out.maxWrite, out.maxPages = maxData, maxData/4096
	out.timeGran = 1
	return Size[initOut](), 0
}

// Stale tells the kernel that the attributes it keeps of a node are no longer true. It is
// for what a request changes beside that which was asked; no answer is waited for.
func (c *Conn) Stale(node uint64) {
	const inval = 2 // FUSE_NOTIFY_INVAL_INODE
	var b [outHeaderSize + 24]byte
	*View[outHeader](b[:]) = outHeader{uint32(len(b)), inval, 0}
	*View[notifyInval](b[outHeaderSize:]) = notifyInval{node, -1, 0}
	_, _ = write(c.dev, b[:]) // ENOENT: it keeps none
}
