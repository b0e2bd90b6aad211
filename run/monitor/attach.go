package monitor

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rl/run/fanout"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// Attach is how somebody wants to be attached. The writing ends of two pipes come with
// it, for standard output and standard error; see fanout.Pipe.
type Attach struct {
	NoStdin bool
}

// stay attaches whoever is at the other end of s until the container ends or they
// leave. An error means that it was not begun.
func (m *monitor) stay(s *sys.Socket, data []byte, files []*os.File) error {
	var a Attach
	if err := json.Unmarshal(data, &a); err != nil || len(files) != 2 {
		return fmt.Errorf("attach: two pipes are wanted: %w", err)
	}
	m.mu.Lock()
	master, input := m.master, m.out.input
	m.mu.Unlock()
	if master == nil && !m.out.pipes {
		return fault.New("start it with -d, or with -t, to attach to it later",
			"the container has the standard streams of the command that started it")
	}
	for _, f := range files {
		if err := unix.SetNonblock(int(f.Fd()), true); err != nil { // Fd made it blocking
			return err
		}
	}
	c := &fanout.Client{Out: [2]*os.File{files[0], files[1]}}
	if !m.out.fan.Add(c) {
		return fmt.Errorf("the container has ended")
	}
	m.answers.Add(1)
	defer m.answers.Done()
	switch {
	case master != nil:
		s.Send([]byte{MsgTerminal}, int(master.Fd()))
	case input != nil && !a.NoStdin:
		s.Send([]byte{MsgInput}, int(input.Fd()))
	default:
		s.Send([]byte{MsgRunning})
	}
	left := make(chan bool)
	go func() {
		s.Recv() // says nothing more; its end is what is waited for
		close(left)
	}()
	select {
	case <-left:
		m.out.fan.Remove(c)
	case <-m.gone:
		if n := c.Missed(); n > 0 {
			s.Send(fmt.Appendf(nil, "%c%d bytes of its output are missing: they were not read in time", MsgNotice, n))
		}
		s.Send([]byte{MsgExit, byte(m.code.Load())})
	}
	return nil
}
