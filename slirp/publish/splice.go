package publish

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is a connection that splice(2) can use.
type socket interface {
	SyscallConn() (syscall.RawConn, error)
}

// errNoSplice says that splice(2) or pipes cannot be had now. No byte is lost.
var errNoSplice = errors.New("no splice")

const (
	// pipeSize is asked for, in bytes. More than net/core's largest window gives
	// nothing; the kernel lets an ordinary user have 64 MB of pipes.
	pipeSize = 256 << 10
	// maxPipes stay open when nobody uses them.
	maxPipes = 8
	// chunk is how much one splice moves at most.
	chunk = 1 << 20
)

// splice moves bytes from a socket to another, through a pipe, until the end. After
// errNoSplice the rest can be copied.
//
// io.Copy does that, too, but keeps its pipe while it waits: ten thousand idle
// connections would have forty thousand descriptors more. Here a pipe is only
// taken for bytes that are there.
func splice(dst, src socket) error {
	to, err := dst.SyscallConn()
	if err != nil {
		return err
	}
	from, err := src.SyscallConn()
	if err != nil {
		return err
	}
	for {
		p, err := fill(from)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.drain(to); err != nil {
			p.close() // with what is in it
			return err
		}
		pipes.put(p)
	}
}

// fill waits for bytes and gives a pipe that has some of them.
func fill(from syscall.RawConn) (p *pipe, err error) {
	var failed error
	err = from.Read(func(fd uintptr) bool {
		p, failed = pipes.get()
		if failed != nil {
			return true
		}
		p.size, failed = move(int(fd), p.w, chunk)
		if failed == nil && p.size > 0 {
			return true
		}
		pipes.put(p)
		p = nil
		switch failed {
		case nil:
			failed = io.EOF
		case unix.EINVAL, unix.ENOSYS, unix.EPERM:
			failed = errNoSplice
		}
		return failed != unix.EAGAIN
	})
	if err == nil {
		err = failed
	}
	return p, err
}

// drain writes all that is in the pipe.
func (p *pipe) drain(to syscall.RawConn) error {
	var failed error
	err := to.Write(func(fd uintptr) bool {
		for p.size > 0 {
			var n int
			n, failed = move(p.r, int(fd), p.size)
			if failed == nil && n == 0 {
				failed = io.ErrUnexpectedEOF
			}
			if failed != nil {
				return failed != unix.EAGAIN
			}
			p.size -= n
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return err
}

func move(from, to, size int) (n int, err error) {
	err = again(func() error {
		moved, err := unix.Splice(from, nil, to, nil, size, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
		n = int(moved)
		return err
	})
	return n, err
}

// pipe has size bytes in it.
type pipe struct{ r, w, size int }

func (p *pipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}

// pool keeps some empty pipes.
type pool struct {
	mu   sync.Mutex
	free []*pipe
}

var pipes pool

func (l *pool) get() (*pipe, error) {
	l.mu.Lock()
	if last := len(l.free) - 1; last >= 0 {
		p := l.free[last]
		l.free = l.free[:last]
		l.mu.Unlock()
		return p, nil
	}
	l.mu.Unlock()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, errors.Join(errNoSplice, os.NewSyscallError("pipe2", err))
	}
	unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize) // or it stays at 64 KB
	return &pipe{r: fds[0], w: fds[1]}, nil
}

func (l *pool) put(p *pipe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.free) < maxPipes {
		l.free = append(l.free, p)
		return
	}
	p.close()
}
