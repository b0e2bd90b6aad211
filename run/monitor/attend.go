package monitor

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/events"
	"rl/run/inside"
	"rl/run/state"
)

// attend lets init go on and stays with it until its end.
func (m *monitor) attend() error {
	err := m.init.socket.Send([]byte{inside.MsgGo}, int(m.program.Fd()))
	if err != nil {
		m.init.kill()
		return err
	}
	go m.obey()
	running, err := m.hear()
	if err != nil || !running {
		m.init.wait()
		return err
	}
	m.started()
	m.tellStart()
	m.front.Send([]byte{MsgRunning})
	m.deliver()
	status, err := m.reap()
	m.mu.Lock()
	m.ended = true // its number may be another's from now on
	m.mu.Unlock()
	if err != nil {
		return err
	}
	return m.exit(status)
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
	if m.ended {
		return
	}
	if !m.running && n != int(unix.SIGKILL) {
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

// exit records how the workload ended, cleans up and tells the front.
func (m *monitor) exit(ws syscall.WaitStatus) error {
	code := ws.ExitStatus()
	if ws.Signaled() {
		code = 128 + int(ws.Signal())
	}
	var ends []events.Event
	oom := m.group.Dir != "" && m.group.Killed() > 0
	if oom {
		ends = append(ends, m.event("oom"))
	}
	ends = append(ends, m.death(code))
	if !m.conf.Remove {
		text := itoa(code) + " " + time.Now().UTC().Format(time.RFC3339Nano)
		if oom {
			text += " " + state.OOMKilled
		}
		if err := os.WriteFile(m.path("exit"), []byte(text+"\n"), 0o600); err != nil {
			m.notice("the exit status was not recorded: " + err.Error())
		}
	}
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
	m.code.Store(int32(code))
	m.lock.Close() // whoever is told may remove the container
	close(m.gone)
	m.front.Send([]byte{MsgExit, byte(code)})
	m.answers.Wait()
	return nil
}
