package run

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/fanout"
)

// streams stand between a caller's terminal and a workload that was not given
// one: a terminal can be read from, and its settings changed, through any
// descriptor of it, standard error included. So where a standard stream is a
// terminal and no -t was asked, the workload gets a pipe, as with docker.
// Anything else is the workload's directly.
type streams struct {
	theirs []*os.File // the workload's ends, ours to close when it has them
	done   sync.WaitGroup
}

// interpose replaces the terminals among stdio.
func (s *streams) interpose(stdio *[3]*os.File) error {
	for fd, f := range stdio {
		if f == nil || !isTerminal(f) {
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		if fd == 0 {
			stdio[fd], s.theirs = r, append(s.theirs, r)
			go func() {
				io.Copy(w, f) // ends with the input, or with the process
				w.Close()
			}()
			continue
		}
		stdio[fd], s.theirs = w, append(s.theirs, w)
		s.done.Go(func() {
			io.Copy(f, r)
			r.Close()
		})
	}
	return nil
}

// kept is what a workload has whose streams pass through its monitor: the monitor's
// ends of its pipes.
type kept struct {
	output []*os.File // standard output and error
	input  *os.File   // where standard input stays open
	viewer []*os.File // what the front wants to be written to
}

func (k *kept) files() []*os.File {
	if k == nil {
		return nil
	}
	all := k.output[:len(k.output):len(k.output)]
	if k.input != nil {
		all = append(all, k.input)
	}
	return append(all, k.viewer...)
}

// close gives up what the monitor has by now, or will never have.
func (k *kept) close() {
	for _, f := range k.files() {
		f.Close()
	}
}

// capture gives the workload pipes, or nothing where a terminal will be, and returns the other
// ends. Its input is the caller's when that stays and wants to type.
func (s *streams) capture(c *Container) (*kept, error) {
	k := new(kept)
	caller := c.Stdio
	if c.Background {
		c.Stdio = [3]*os.File{}
	}
	if c.Flags.Terminal {
		return k, nil
	}
	c.Stdio[1], c.Stdio[2] = nil, nil
	for fd := 1; fd < 3; fd++ {
		r, w, err := os.Pipe()
		if err != nil {
			return k, err
		}
		c.Stdio[fd], s.theirs, k.output = w, append(s.theirs, w), append(k.output, r)
	}
	if c.Stdio[0] != nil {
		input := [3]*os.File{c.Stdio[0]}
		if err := s.interpose(&input); err != nil {
			return k, err
		}
		c.Stdio[0] = input[0]
	} else if c.Flags.Interactive {
		r, w, err := os.Pipe()
		if err != nil {
			return k, err
		}
		c.Stdio[0], s.theirs, k.input = r, append(s.theirs, r), w
	}
	if c.Background {
		return k, nil
	}
	viewer, err := s.view(caller[1], caller[2])
	k.viewer = viewer
	return k, err
}

// view makes pipes for what a monitor hands out, and copies from them.
func (s *streams) view(to ...*os.File) (theirs []*os.File, err error) {
	for _, f := range to {
		r, w, err := fanout.Pipe()
		if err != nil {
			return theirs, err
		}
		theirs = append(theirs, w)
		s.done.Go(func() {
			io.Copy(f, r)
			r.Close()
		})
	}
	return theirs, nil
}

// release closes the workload's ends, which it has by now.
func (s *streams) release() {
	for _, f := range s.theirs {
		f.Close()
	}
}

// drain waits until all output was copied, a moment at most: a process that
// outlived the workload cannot hold it up.
func (s *streams) drain() {
	all := make(chan struct{})
	go func() {
		s.done.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-time.After(500 * time.Millisecond):
	}
}

// otherStreams are the workload's three, /dev/null (which is open until null is closed) where
// it has none; nil when they are the caller's but for the input.
func (c *Container) otherStreams() (null *os.File, fds []int, err error) {
	same := true
	for fd, f := range c.Stdio {
		same = same && (f != nil && int(f.Fd()) == fd || f == nil && fd == 0)
	}
	if same {
		return nil, nil, nil
	}
	if null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	for _, f := range c.Stdio {
		if f == nil {
			f = null
		}
		fds = append(fds, int(f.Fd()))
	}
	return null, fds, nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
