// Package fanout hands what a container writes to everybody who is attached to it.
//
// Each client has a pipe a stream, whose buffer in the kernel is all that waits for
// it. A client that reads gets every byte, and holds the container up no more
// than the pipe of a shell would. One that does not, because it was stopped or its
// terminal hangs, holds nothing up: when it has not taken a piece within [Patience] it is
// left out, until it has read all that is in its pipe; then it is told how much it
// missed, and goes on from there.
//
// The command that runs a container in the foreground is waited for as long as it takes while it
// is the only client: it is what the container writes to.
package fanout

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Patience is how long a client may take for one piece of at most [Piece] bytes.
const Patience = time.Second

// Piece is the most that is written at once.
const Piece = 64 << 10

// The streams.
const (
	Stdout = iota
	Stderr
)

// Client is somebody who listens. Its files are the writing ends of pipes, not
// blocking; a nil one stands for a stream that it does not want.
type Client struct {
	Out   [2]*os.File
	Owner bool // runs the container in the foreground

	stream [2]struct { // each is its own writer's
		missed  int64
		stalled bool
	}
}

// Fanout is the clients of a container. The zero value has none.
type Fanout struct {
	mu       sync.Mutex
	list     []*Client
	disowned bool
	ended    bool
}

// Add lets a client listen from now on. It tells whether there is anything to
// listen to: what has ended has not.
func (f *Fanout) Add(c *Client) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		c.close()
		return false
	}
	// A new list: writers go over the old one without the lock.
	f.list = append(f.list[:len(f.list):len(f.list)], c)
	return true
}

// Remove lets a client go.
func (f *Fanout) Remove(c *Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, o := range f.list {
		if o == c {
			f.list = append(f.list[:i:i], f.list[i+1:]...)
			c.close()
			return
		}
	}
}

// Disown says that the container has no owner any more: it lets those go, or stay
// as everybody else.
func (f *Fanout) Disown(stay bool) {
	for _, c := range f.clients() {
		if c.Owner && !stay {
			f.Remove(c)
		}
	}
	f.mu.Lock()
	f.disowned = true
	f.mu.Unlock()
}

// Close ends all clients: their pipes end.
func (f *Fanout) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for _, c := range f.list {
		c.close()
	}
	f.list = nil
}

func (f *Fanout) clients() []*Client {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list
}

// Write hands a stream's bytes to all. Each stream has one caller at a time.
func (f *Fanout) Write(stream int, b []byte) {
	for _, c := range f.clients() {
		if c.Out[stream] == nil {
			continue
		}
		for rest := b; len(rest) > 0; {
			n := min(len(rest), Piece)
			if !f.give(c, stream, rest[:n]) {
				f.Remove(c)
				break
			}
			rest = rest[n:]
		}
	}
}

// give tells whether the client is still there.
func (f *Fanout) give(c *Client, stream int, b []byte) bool {
	w, s := c.Out[stream], &c.stream[stream]
	if s.stalled {
		if waiting(w) > 0 {
			s.missed += int64(len(b))
			return true
		}
		w.SetWriteDeadline(time.Now().Add(Patience))
		if _, err := fmt.Fprintf(w, "\r\n[rl: %d bytes are missing here: they were not read in time]\r\n", s.missed); err != nil {
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
		s.stalled, s.missed = false, 0
	}
	for len(b) > 0 {
		w.SetWriteDeadline(time.Now().Add(Patience))
		n, err := w.Write(b)
		b = b[n:]
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return false
		case c.Owner && f.owned():
		default:
			s.stalled, s.missed = true, int64(len(b))
			return true
		}
	}
	return true
}

// owned tells whether there is one client at most, and it may be the owner.
func (f *Fanout) owned() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.ended && !f.disowned && len(f.list) <= 1
}

// Missed is how much a client was not given that it was not told about either.
// It is asked when nobody writes any more.
func (c *Client) Missed() int64 { return c.stream[Stdout].missed + c.stream[Stderr].missed }

func (c *Client) close() {
	for _, w := range c.Out {
		if w != nil {
			w.Close()
		}
	}
}

// waiting is how much of a pipe was not read yet.
func waiting(w *os.File) (n int) {
	conn, err := w.SyscallConn()
	if err != nil {
		return 0
	}
	conn.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n
}

// Pipe makes a client's pipe, with room for a good deal: its writing end does not block, its reading
// end does.
func Pipe() (r, w *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, err
	}
	const room = 256 << 10
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, room) // beyond the user's limit it stays as it is
	if err := unix.SetNonblock(fds[1], true); err != nil {
		return nil, nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "output"), os.NewFile(uintptr(fds[1]), "output"), nil
}
