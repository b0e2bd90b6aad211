package monitor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"rl/run/fanout"
	"rl/run/logs"
)

// output is what the workload writes, where that passes through the monitor: from
// its pipes, or its terminal's master, to the log and to who is attached. In the
// foreground, without a terminal and a log, the workload has its caller's own streams.
type output struct {
	fan    fanout.Fanout
	log    *logs.Log // nil: none
	copies sync.WaitGroup
	input  *os.File // the writing end of its standard input, which stays open; nil: it has none
	pipes  bool
}

// openOutput begins to read what the workload writes. The files are the first of
// the donated ones, in Config's order.
func (m *monitor) openOutput() (err error) {
	c := m.conf
	if c.Pipes+c.Input+c.Viewer > len(m.net.files) {
		return errors.New("the workload's pipes did not come")
	}
	pipes, rest := m.net.files[:c.Pipes], m.net.files[c.Pipes:]
	if c.Input > 0 {
		m.out.input, rest = rest[0], rest[1:]
	}
	if c.Viewer == 2 {
		m.out.fan.Add(&fanout.Client{Out: [2]*os.File{rest[0], rest[1]}, Owner: true})
	}
	m.net.files = rest[c.Viewer:]
	if m.out.log, err = logs.Open(c.Log); err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	m.out.pipes = len(pipes) > 0
	for stream, r := range pipes {
		m.copy(stream, r)
	}
	return nil
}

var streams = []string{fanout.Stdout: "stdout", fanout.Stderr: "stderr"}

// copy reads a stream until it ends, and closes it.
func (m *monitor) copy(stream int, from io.ReadCloser) {
	tee := func(b []byte) { m.out.fan.Write(stream, b) }
	m.out.copies.Go(func() { m.out.log.Copy(streams[stream], from, tee) })
}

// terminal takes the master of the workload's terminal. The front gets it, too, to
// type and to tell its size; what appears on it comes through a pipe, as for everybody
// who is attached.
func (m *monitor) terminal(master *os.File) {
	m.mu.Lock()
	m.master = master
	first := m.again.Count == 0
	m.mu.Unlock()
	if !m.conf.Silent && first {
		r, w, err := fanout.Pipe()
		if err != nil {
			m.notice("the terminal cannot be shown: " + err.Error())
		} else {
			m.out.fan.Add(&fanout.Client{Out: [2]*os.File{fanout.Stdout: w}, Owner: true})
			m.front.Send([]byte{MsgTerminal}, int(master.Fd()), int(r.Fd()))
			r.Close()
		}
	}
	m.copy(fanout.Stdout, keep{master})
}

// keep is a file that stays open at the end of what it is read for: the master is
// also typed on.
type keep struct{ *os.File }

func (keep) Close() error { return nil }

// drainOutput waits for the last of it, a moment at most: a process that outlived the
// workload cannot hold it up. Then whoever is attached sees the end.
func (m *monitor) drainOutput() {
	done := make(chan bool)
	go func() {
		m.out.copies.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(500 * time.Millisecond):
	}
	m.out.fan.Close()
	m.out.log.Close()
}
