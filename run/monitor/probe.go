package monitor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/health"
	"rl/run/inside"
)

// How long one waits for what should come at once: for a killed probe's end, for what it wrote to
// arrive, for the news that the workload has ended, which took the probe along.
const (
	killTime  = 2 * time.Second
	drainTime = 200 * time.Millisecond
	newsTime  = 5 * time.Second
)

// prober are the processes of a probe.
type prober struct {
	mu       sync.Mutex
	entering int // the one between the container and us
	program  int // the probe itself, which leads a process group
}

// kill ends the probe with what it has started, or where that does not help what stands between.
func (p *prober) kill(hard bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.program > 0 && !hard:
		unix.Kill(-p.program, unix.SIGKILL)
	case p.entering > 0:
		unix.Kill(p.entering, unix.SIGKILL)
	}
}

// over forgets them, whose numbers may be others' soon.
func (p *prober) over() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entering, p.program = 0, 0
}

// probe runs the check's program once. It ends with the run it belongs to. The one error is
// that the container was paused before the program was begun.
func (m *monitor) probe(run chan struct{}) (res health.Result, err error) {
	c := m.conf.Health
	res = health.Result{Start: time.Now().UTC(), ExitCode: -1}
	fail := func(err error) (health.Result, error) {
		res.End, res.Output = time.Now().UTC(), err.Error()
		return res, nil
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fail(err)
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	defer w.Close()
	output := make(chan string, 1)
	go func() { output <- gather(r) }()

	var p prober
	var late atomic.Bool
	done := make(chan struct{})
	go func() {
		select {
		case <-done:
			return
		case <-run:
		case <-time.After(c.Timeout):
			late.Store(true)
		}
		p.kill(false)
		select {
		case <-done:
		case <-time.After(killTime):
			p.kill(true)
		}
	}()
	var refused error
	err = m.execute(&Exec{Args: c.Args()}, []*os.File{null, w, w}, func(q process, msg []byte, _ []*os.File) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.entering = q.pid
		switch msg[0] {
		case inside.MsgRunning:
			p.program, _ = strconv.Atoi(string(msg[1:]))
		case inside.MsgError:
			if len(msg) > 1 {
				refused = errors.New(string(msg[2:]))
			}
		case inside.MsgExit:
			if len(msg) > 1 {
				res.ExitCode = int(msg[1])
			}
		}
	})
	p.over()
	close(done)
	w.Close()
	r.SetReadDeadline(time.Now().Add(drainTime))
	res.Output = <-output
	r.Close()
	res.End = time.Now().UTC()
	if errors.Is(err, errFrozen) {
		return res, errPaused
	}
	if late.Load() {
		text := fmt.Sprintf("Health check exceeded timeout (%v)", c.Timeout)
		if res.Output != "" {
			text += ": " + res.Output
		}
		res.ExitCode, res.Output = -1, text
		return res, nil
	}
	if err = errors.Join(err, refused); err != nil {
		res.ExitCode, res.Output = -1, err.Error()
	}
	patience := newsTime // on a busy machine it takes its time
	if refused != nil {
		patience = drainTime
	}
	if res.ExitCode < 0 || res.ExitCode == 128+int(unix.SIGKILL) {
		select { // the workload may have ended, which is not known yet, and the probe with it
		case <-run:
		case <-time.After(patience):
		}
	}
	return res, nil
}

// gather reads what a probe writes, and keeps the beginning.
func gather(r io.Reader) string {
	kept, _ := io.ReadAll(io.LimitReader(r, health.MaxOutput))
	text := string(kept)
	if n, _ := io.Copy(io.Discard, r); n > 0 {
		text += "..."
	}
	return text
}
