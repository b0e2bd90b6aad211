package monitor

import (
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/inside"
	"rl/run/plan/option"
	"rl/run/restart"
	"rl/run/state"
	"rl/userns/sys"
)

// A container with a restart policy is started again by its monitor, which keeps all
// that the container stands on (namespaces, root file system, network, ports, lock) and
// only makes another init. So it is the same container at the same address, a moment
// later; what it had in memory file systems is gone. What was asked for was
// planned at the first start: `rl start` plans anew.
//
//	running ── end ──▶ policy: no ──▶ exit
//	   ▲                 │ again
//	   │                 ▼
//	   └── new init ── waits ── stop, kill, rm -f, SIGTERM, the front's end ──▶ exit
//
// Between two runs the lock is held and the file `exit` says "again". A monitor that
// is killed starts nothing any more: nobody is there who could.

// restarts is what the monitor knows of it; under monitor.mu.
type restarts struct {
	restart.State
	start    Start         // how init was started
	streams  [3]*os.File   // the foreground's, to be given again
	between  bool          // no workload, but there will be one
	making   bool          // there is no new init yet
	byUser   bool          // somebody stopped it
	stopping bool          // it is to end, whatever the policy is
	once     bool          // start it again, whatever the policy is
	wake     chan struct{} // ends the wait
	ended    chan struct{} // closed at the end of this run
	last     int           // how that ended
	oom      bool          // and whether for want of memory
}

// keepStreams remembers the workload's own streams for another run.
func (m *monitor) keepStreams() error {
	if !m.again.start.Keep {
		return nil
	}
	for fd := range m.again.streams {
		n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return err
		}
		m.again.streams[fd] = os.NewFile(uintptr(n), "stdio")
	}
	return nil
}

// stop has the container end for good: byUser, or because the machine goes down.
func (m *monitor) stop(byUser bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.again.stopping = true
	m.again.byUser = m.again.byUser || byUser
	m.again.once = false
	if m.again.wake != nil {
		close(m.again.wake)
		m.again.wake = nil
	}
}

// over notes the end of a run and tells whether there will be another one, when.
func (m *monitor) over(code int, oom bool) (wait time.Duration, again bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := &m.again
	wait, again = a.Next(code, time.Since(m.began), a.stopping)
	if a.once && !a.stopping {
		if !again {
			a.Count++
		}
		wait, again = 0, true
	}
	a.once, a.between = false, again
	m.running, m.ended = false, !again
	if again {
		a.wake = make(chan struct{})
	}
	a.last, a.oom = code, oom
	m.record(code, oom, again)
	close(a.ended)
	a.ended = make(chan struct{})
	return wait, again
}

// record writes how a run ended, and what comes next.
func (m *monitor) record(code int, oom, again bool) {
	if m.conf.Remove {
		return
	}
	text := itoa(code) + " " + time.Now().UTC().Format(time.RFC3339Nano)
	for word, is := range map[string]bool{state.OOMKilled: oom, state.Again: again, state.ByUser: m.again.byUser && !again} {
		if is {
			text += " " + word
		}
	}
	if err := sys.Replace(m.path(state.ExitFile), []byte(text+"\n"), 0o600); err != nil {
		m.notice("the exit status was not recorded: " + err.Error())
	}
}

// rerun waits, and starts the workload again. When that cannot be, code is the exit
// status that the container has for it.
func (m *monitor) rerun(wait time.Duration) (code int, ok bool) {
	m.mu.Lock()
	wake := m.again.wake
	m.mu.Unlock()
	if wake != nil {
		timer := time.NewTimer(wait)
		select {
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	a := &m.again
	a.between, a.wake = false, nil
	if a.making = !a.stopping; !a.making {
		m.record(a.last, a.oom, false)
		m.ended = true
		return a.last, false
	}
	m.mu.Unlock() // signals that come now are kept for the workload
	code, err := m.another()
	m.mu.Lock()
	if err != nil {
		m.ended, a.last = true, code
		m.record(code, false, false)
		close(a.ended) // some wait for the end of the run that was to be
		if !m.conf.Remove {
			os.WriteFile(m.path(state.ErrorFile), []byte(err.Error()+"\n"), 0o600)
		}
		m.notice("the container cannot be started again: " + err.Error())
		return code, false
	}
	return 0, true
}

// another makes an init and lets it go on.
func (m *monitor) another() (code int, err error) {
	if !m.again.start.Tap {
		m.net.ns = nil // it was the former init's
	}
	stdio, done, err := m.newStreams()
	if err != nil {
		return 125, err
	}
	err = m.spawn(m.again.start, stdio)
	done()
	if err != nil {
		return 125, err
	}
	if err := m.renew(); err != nil {
		m.init.kill()
		return 125, err
	}
	err = m.creationHooks()
	if err == nil {
		err = m.init.socket.Send([]byte{inside.MsgGo}, int(m.program.Fd()))
	}
	if err != nil {
		m.init.kill()
		return 125, err
	}
	running, err := m.hear()
	if err != nil || !running {
		m.init.wait()
		if m.failed.code == 0 {
			m.failed.code = 125
		}
		if m.failed.text != "" { // that nobody hears it is not why
			err = errors.New(m.failed.text)
		} else if err == nil {
			err = errors.New("its first process ended")
		}
		return m.failed.code, err
	}
	os.WriteFile(m.path(state.RestartsFile), []byte(itoa(m.again.Count)+"\n"), 0o600)
	m.newHealth()
	os.Remove(m.path(state.ExitFile))
	m.started()
	m.tellStart()
	m.poststart()
	m.deliver()
	m.watch()
	return 0, nil
}

// newStreams are those of another run: the caller's, or new pipes into the log. A
// terminal is made by init.
func (m *monitor) newStreams() (stdio [3]uintptr, done func(), err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return stdio, nil, err
	}
	ours := []*os.File{null}
	done = func() {
		for _, f := range ours {
			f.Close()
		}
	}
	stdio = [3]uintptr{null.Fd(), null.Fd(), null.Fd()}
	for fd, f := range m.again.streams {
		if f != nil {
			stdio[fd] = f.Fd()
		}
	}
	if m.conf.Input > 0 {
		r, w, err := os.Pipe()
		if err != nil {
			done()
			return stdio, nil, err
		}
		stdio[0], ours = r.Fd(), append(ours, r)
		m.mu.Lock()
		if m.out.input != nil {
			m.out.input.Close()
		}
		m.out.input = w
		m.mu.Unlock()
	}
	for stream := range m.conf.Pipes {
		r, w, err := os.Pipe()
		if err != nil {
			done()
			return stdio, nil, err
		}
		stdio[stream+1], ours = w.Fd(), append(ours, w)
		m.copy(stream, r)
	}
	return stdio, done, nil
}

// setPolicy is rl update --restart.
func (m *monitor) setPolicy(data []byte) error {
	var r option.Restart
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	m.limits.Lock()
	defer m.limits.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return errOver
	}
	if err := state.Amend(m.conf.Dir, func(rec *state.Record) { rec.Restart = &r }); err != nil {
		return err
	}
	m.again.Restart = r
	if !r.Any() && m.again.wake != nil { // docker's: it does not come back
		m.again.stopping = true
		close(m.again.wake)
		m.again.wake = nil
	}
	return nil
}

// standDown has a container in the background end in good order when the machine, or
// its user's session, does: SIGTERM. It counts as running, for the next boot.
func (m *monitor) standDown() {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGTERM)
	go func() {
		<-ch
		m.stop(false)
		m.signal(m.conf.StopSignal)
		time.AfterFunc(m.conf.StopTimeout, func() { m.signal(int(unix.SIGKILL)) })
	}()
}

// nextEnd waits for the end of this run and tells how it was. After the last one the
// container is not running any more: its lock is free.
func (m *monitor) nextEnd() int {
	m.mu.Lock()
	ended := m.again.ended
	if m.again.between || m.ended {
		ended = nil
	}
	m.mu.Unlock()
	if ended != nil {
		<-ended
	}
	m.mu.Lock()
	last := m.ended
	m.mu.Unlock()
	if last {
		<-m.gone
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.again.last
}
