package publish

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// copyBuffer is in bytes, and a direction has one for as long as it is open.
const copyBuffer = 16 << 10

// relay carries bytes between two connections until both directions have ended, and
// passes on how they end: a half-close (FIN) as a half-close, and a reset, or any
// other error, as a reset. It closes both.
func relay(a, b net.Conn) {
	defer a.Close()
	defer b.Close()
	r := pair{}
	r.ending = sync.OnceFunc(func() {
		reset(a)
		reset(b)
	})
	var wait sync.WaitGroup
	wait.Go(func() { r.carry(b, a) })
	r.carry(a, b)
	wait.Wait()
}

type pair struct {
	ended  atomic.Int32 // directions that came to a half-close
	ending func()       // resets both
}

// carry is one direction.
func (r *pair) carry(dst, src net.Conn) {
	if err := transfer(dst, src); err != nil {
		r.ending()
		return
	}
	last := r.ended.Add(1) == 2
	half, ok := dst.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		r.ending()
		return
	}
	if last {
		dst.Close() // wakes the other, which watches it
		src.Close()
		return
	}
	if hungUp(src) && r.ended.Load() < 2 {
		r.ending()
	}
}

// transfer copies until src is at its end, and fails when either connection does.
func transfer(dst, src net.Conn) error {
	to, ok1 := dst.(socket)
	from, ok2 := src.(socket)
	if ok1 && ok2 {
		err := splice(to, from)
		if !errors.Is(err, errNoSplice) {
			return err
		}
	}
	_, err := io.CopyBuffer(onlyWriter{dst}, onlyReader{src}, make([]byte, copyBuffer))
	return err
}

// onlyWriter and onlyReader hide ReadFrom and WriteTo, which would not use our buffer.
type onlyWriter struct{ io.Writer }
type onlyReader struct{ io.Reader }

// hungUp waits until a connection that has sent its last byte is reset or closed
// down. A program that is told of a reset only when it writes would not learn that
// nobody waits for its answer.
func hungUp(c net.Conn) bool {
	s, ok := c.(socket)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return false
	}
	return raw.Read(func(fd uintptr) bool { return polled(int(fd), 0) }) == nil
}

// reset closes a connection with a RST, where it can be.
func reset(c net.Conn) {
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		l.SetLinger(0)
	}
	c.Close()
}
