package monitor

import (
	"syscall"

	"golang.org/x/sys/unix"

	"rl/run/events"
	"rl/run/inside"
)

// attend lets init go on and stays with it until its end.
func (m *monitor) attend() error {
	go m.obey()
	err := m.creationHooks()
	if err == nil {
		err = m.init.socket.Send([]byte{inside.MsgGo}, int(m.program.Fd()))
	}
	if err != nil {
		m.init.kill()
		return err
	}
	running, err := m.hear()
	if err != nil || !running {
		m.init.wait()
		return err
	}
	m.started()
	m.tellStart()
	m.poststart()
	m.newHealth()
	m.front.Send([]byte{MsgRunning})
	m.deliver()
	m.watch()
	for {
		ws, err := m.reap()
		if err != nil {
			m.mu.Lock()
			m.ended = true
			m.mu.Unlock()
			return err
		}
		code := ws.ExitStatus()
		if ws.Signaled() {
			code = 128 + int(ws.Signal())
		}
		oom := m.ranOut()
		ends := m.ends(code, oom)
		wait, again := m.over(code, oom)
		if !again {
			return m.exit(code, ends)
		}
		m.conf.Journal.Add(ends...)
		if m.group.Frozen() { // it was killed while it was paused, which the next run is not
			m.group.Thaw()
		}
		m.poststop()
		if code, ok := m.rerun(wait); !ok {
			return m.exit(code, nil)
		}
	}
}

// started has the time of the record be that of the start.
func (m *monitor) started() {
	if !m.conf.Remove || m.conf.Log.Driver != "" { // in the foreground, with --rm: nobody asks for long
		unix.UtimesNanoAt(unix.AT_FDCWD, m.path("state.json"), nil, 0)
	}
}

// obey does what the front says. Its end, without a word, ends the container.
func (m *monitor) obey() {
	for {
		msg, files, err := m.front.Recv()
		if err != nil {
			m.mu.Lock()
			detached := m.detached
			m.mu.Unlock()
			if !detached {
				m.stop(false)
				m.signal(int(unix.SIGKILL))
			}
			return
		}
		for _, f := range files {
			f.Close()
		}
		switch msg[0] {
		case MsgSignal:
			if len(msg) > 1 {
				m.tell("kill", "signal", itoa(int(msg[1])))
				if m.conf.ends(msg[1]) {
					m.stop(true)
				}
				m.signal(int(msg[1]))
			}
		case MsgDetach:
			m.detach(len(msg) > 1)
			m.front.Send(msg)
		}
	}
}

// signal hands a signal to the workload, or keeps it until there is one: init
// itself, still rl's own program, would end by it.
func (m *monitor) signal(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended || m.again.between {
		return
	}
	if !m.running && (m.again.making || n != int(unix.SIGKILL)) {
		m.pending = append(m.pending, n)
		return
	}
	m.init.signal(n)
}

func (m *monitor) deliver() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running = true
	for _, n := range m.pending {
		m.init.signal(n)
	}
	m.pending = nil
}

// detach goes on without a front, which may stay to look on.
func (m *monitor) detach(stay bool) {
	m.mu.Lock()
	m.detached = true
	m.standDown()
	m.mu.Unlock()
	m.out.fan.Disown(stay)
}

// reap waits for the workload. As pid 1 of the outer pid namespace the monitor
// also inherits what the container's namespace leaves behind.
func (m *monitor) reap() (syscall.WaitStatus, error) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return ws, err
		case pid == m.init.pid:
			return ws, nil
		}
	}
}

// exit cleans up after the last run, which was recorded, and tells the front.
func (m *monitor) exit(code int, ends []events.Event) error {
	if !m.conf.Remove {
		m.conf.Journal.Add(ends...)
	}
	m.drainOutput()
	for i := len(m.undo) - 1; i >= 0; i-- {
		if err := m.undo[i](); err != nil {
			m.notice(err.Error())
		}
	}
	m.undo = nil
	if m.conf.Remove {
		m.conf.Remove = false
		if err := m.remove(); err != nil {
			m.notice(err.Error())
		}
		m.conf.Journal.Add(append(ends, m.event("destroy"))...)
	}
	m.poststop()
	m.code.Store(int32(code))
	m.lock.Close() // whoever is told may remove the container
	close(m.gone)
	m.front.Send([]byte{MsgExit, byte(code)})
	m.answers.Wait()
	return nil
}
