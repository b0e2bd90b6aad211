package run

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
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

// capture gives the workload of a container in the background pipes, or nothing
// where a terminal will be, and returns the other ends.
func (s *streams) capture(c *Container) (output []*os.File, err error) {
	c.Stdio = [3]*os.File{}
	if c.Flags.Terminal {
		return nil, nil
	}
	for fd := 1; fd < 3; fd++ {
		r, w, err := os.Pipe()
		if err != nil {
			return output, err
		}
		c.Stdio[fd], s.theirs, output = w, append(s.theirs, w), append(output, r)
	}
	return output, nil
}

// used tells whether any stream was replaced.
func (s *streams) used() bool { return len(s.theirs) > 0 }

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

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
