package fuse

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// worker is one thread with one buffer, which it reuses for every request: the
// kernel writes a request into pages that are there already.
type worker struct {
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
	c.idle.Add(1)
	return &worker{conn: c, fd: fd, buf: buf, umask: -1}, nil
}

// loop reads and answers until the connection ends. The thread has its own umask
// (CLONE_FS) and is the goroutine's for good: it dies with it.
func (w *worker) loop() {
	runtime.LockOSThread()
	defer w.close()
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return
	}
	for {
		n, errno := read(w.fd, w.buf)
		switch errno {
		case 0:
		case syscall.EINTR, syscall.EAGAIN, syscall.ENOENT: // ENOENT: given up by who asked
			continue
		default: // ENODEV: unmounted
			return
		}
		if n < inHeaderSize {
			return
		}
		if w.conn.idle.Add(-1) == 0 {
			w.conn.grow()
		}
		w.serve(n)
		w.conn.idle.Add(1)
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
