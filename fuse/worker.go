package fuse

import (
	"runtime"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// worker is one thread with one buffer, which it reuses for every request: the
// kernel writes a request into pages that are there already.
//
// One worker reads, the leader, and answers at once: most answers take some
// microseconds, which is less than waking another thread. Before it does what may
// take long it hands the turn to read to another (yield), answers, and waits for a
// turn. A thread that stays warm is worth twice as much here as a second one.
type worker struct {
	leads atomic.Bool
	began atomic.Int64 // the watch's tick when the leader got its request; 0 while it reads

	conn  *Conn
	fd    int
	buf   []byte
	at    int // where the reply is
	umask int
	req   Request
}

func (c *Conn) newWorker(fd int) (*worker, error) {
	buf, err := unix.Mmap(-1, 0, bufSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	c.started.Add(1)
	w := &worker{conn: c, fd: fd, buf: buf, umask: -1}
	w.leads.Store(true)
	c.leader.Store(w)
	return w, nil
}

// loop reads and answers until the connection ends. The thread has its own umask
// (CLONE_FS) and is the goroutine's for good: it dies with it.
func (w *worker) loop() {
	runtime.LockOSThread()
	defer w.close()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		w.conn.end() // it cannot be refused: it takes from this thread only
		return
	}
	c := w.conn
	for {
		if !w.leads.Load() {
			if c.started.Load() > keptWorkers {
				if c.started.Add(-1) >= keptWorkers {
					return
				}
				c.started.Add(1)
			}
			select {
			case <-c.gone:
				return
			case <-c.turn:
			}
			w.leads.Store(true)
			c.leader.Store(w)
		}
		n, errno := read(w.fd, w.buf)
		switch errno {
		case 0:
		case syscall.EINTR, syscall.EAGAIN, syscall.ENOENT: // ENOENT: given up by who asked
			continue
		default: // ENODEV: unmounted
			c.end()
			return
		}
		if n < inHeaderSize {
			c.end()
			return
		}
		w.began.Store(c.tick.Load() | 1<<62)
		if c.asleep.Load() && c.asleep.CompareAndSwap(true, false) {
			c.wake <- struct{}{}
		}
		w.serve(n)
		w.began.Store(0)
	}
}

func (w *worker) close() {
	_ = unix.Munmap(w.buf)
	if w.fd != w.conn.dev {
		_ = unix.Close(w.fd)
	}
}

func (w *worker) serve(n int) {
	r := &w.req
	r.In, r.body, r.w = View[InHeader](w.buf), w.buf[inHeaderSize:n], w
	unique, op := r.In.Unique, r.In.Opcode
	if op < opMax {
		w.conn.counts[op].Add(1)
	}
	w.at = outAt
	var size int
	var errno syscall.Errno
	switch op {
	case OpInit:
		size, errno = w.conn.init(r)
	case OpInterrupt:
		return // every request ends by itself
	case OpDestroy:
	default:
		size, errno = w.conn.handler.Handle(r)
	}
	if errno != 0 {
		size, w.at = 0, outAt
	} else if size == NoReply {
		return
	}
	reply := w.buf[w.at-outHeaderSize : w.at+size]
	*View[outHeader](reply) = outHeader{uint32(len(reply)), -int32(errno), unique}
	for {
		// ENOENT: interrupted, nobody waits for the answer. ENODEV: unmounted.
		if _, errno := write(w.fd, reply); errno != syscall.EINTR {
			return
		}
	}
}
