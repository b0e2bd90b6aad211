package monitor

import (
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/health"
	"rl/run/plan/option"
	"rl/run/state"
	"rl/userns/sys/fault"
)

// A container with a health check is looked at by its monitor, which runs each probe as it
// runs a program of rl exec, and writes what it found to the file `health` in the container's
// directory. run/health decides what a result means; this is the clock and the hand. A look
// belongs to one run of the workload: what comes after its end is nobody's. Whoever is paused
// is not looked at.

// vigil is what is known of the container's health; under monitor.mu.
type vigil struct {
	health.Report
	began  time.Time
	acted  bool       // it was unhealthy, and something was done about it in this run
	asking sync.Mutex // one probe at a time; taken before monitor.mu
}

var (
	errOver   = errors.New("the container is not running")
	errPaused = fault.New("`rl unpause` lets it go on", "the container is paused: it is not probed")
)

// newHealth begins anew, with another run.
func (m *monitor) newHealth() {
	if m.conf.Health == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.health.Report = health.Report{Status: health.Starting, Log: []health.Result{}}
	m.health.began, m.health.acted = time.Now(), false
	m.writeHealth()
}

// watch looks at this run of the workload until its end.
func (m *monitor) watch() {
	if m.conf.Health == nil {
		return
	}
	m.mu.Lock()
	run := m.again.ended
	m.mu.Unlock()
	go func() {
		for {
			m.mu.Lock()
			wait := m.health.Wait(m.conf.Health, time.Since(m.health.began))
			m.mu.Unlock()
			select {
			case <-run:
				return
			case <-time.After(wait):
			}
			if _, err := m.examine(run); err == errOver {
				return
			}
		}
	}()
}

// answerHealth is rl healthcheck run: whether a probe succeeded, and the status then.
func (m *monitor) answerHealth() ([]byte, error) {
	if m.conf.Health == nil {
		return nil, errors.New("the container has no defined healthcheck")
	}
	m.mu.Lock()
	run, running := m.again.ended, m.running && !m.ended
	m.mu.Unlock()
	if !running {
		return nil, errOver
	}
	r, err := m.examine(run)
	if err != nil {
		return nil, err
	}
	good := byte('n')
	if r.Log[len(r.Log)-1].ExitCode == 0 {
		good = 'y'
	}
	return append([]byte{good}, r.Status...), nil
}

// examine probes the container once and does what follows.
func (m *monitor) examine(run chan struct{}) (r health.Report, err error) {
	m.health.asking.Lock()
	defer m.health.asking.Unlock()
	if m.group.Frozen() {
		return r, errPaused
	}
	res, err := m.probe(run)
	if err == nil && m.group.Frozen() { // it could not answer
		err = errPaused
	}
	if err != nil {
		return r, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.again.ended != run {
		return r, errOver
	}
	changed := m.health.Note(m.conf.Health, res, res.Start.Sub(m.health.began))
	m.writeHealth()
	if changed {
		m.tell("health_status: " + m.health.Status)
	}
	if m.health.Status == health.Unhealthy && !m.health.acted && m.conf.Health.OnFailure != "" {
		m.health.acted = true
		go m.act(run)
	}
	return m.health.Report, nil
}

// writeHealth writes it for who looks. On a full disk the log goes without, not the status.
func (m *monitor) writeHealth() {
	path := m.path(state.HealthFile)
	data, err := json.Marshal(&m.health.Report)
	if err == nil {
		err = os.WriteFile(path+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		return
	}
	os.Remove(path + ".new")
	short := m.health.Report
	short.Log = nil
	if data, err = json.Marshal(&short); err == nil {
		os.WriteFile(path, data, 0o600)
	}
}

// act is --health-on-failure. A kill is nobody's stop: a restart policy has its say.
func (m *monitor) act(run chan struct{}) {
	sig := m.conf.StopSignal
	switch m.conf.Health.OnFailure {
	case option.HealthKill:
		m.signalRun(run, int(unix.SIGKILL))
		return
	case option.HealthStop:
		m.mu.Lock()
		over := m.again.ended != run
		m.mu.Unlock()
		if over {
			return
		}
		m.stop(true)
	case option.HealthRestart:
		m.mu.Lock()
		m.again.once = m.again.ended == run && !m.again.stopping
		m.mu.Unlock()
	}
	m.signalRun(run, sig)
	select {
	case <-run:
	case <-time.After(m.conf.StopTimeout):
		m.signalRun(run, int(unix.SIGKILL))
	}
}

// signalRun hands a signal to the workload of one run, and no other.
func (m *monitor) signalRun(run chan struct{}, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.again.ended != run || m.ended || !m.running {
		return
	}
	m.tell("kill", "signal", itoa(n))
	m.init.signal(n)
}
