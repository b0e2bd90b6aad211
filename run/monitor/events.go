package monitor

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"time"

	"rl/run/events"
)

// tell writes what happened to the container to the journal. That it cannot be
// written is nobody's loss but a reader's.
func (m *monitor) tell(action string, more ...string) {
	m.conf.Journal.Add(m.event(action, more...))
}

func (m *monitor) event(action string, more ...string) events.Event {
	return events.New(events.Container, action, m.conf.ID, m.conf.About, more...)
}

// tellStart tells of the container's birth together with its first start: one that
// cannot be started leaves nothing, and nothing to be told.
func (m *monitor) tellStart() {
	list := make([]events.Event, 0, 3)
	if m.conf.Born != 0 {
		e := m.event("create")
		e.Nano = m.conf.Born
		list = append(list, e)
	}
	if m.conf.Attached {
		list = append(list, m.event("attach"))
	}
	list = append(list, m.mounts()...)
	m.began = time.Now()
	m.conf.Born = 0
	m.conf.Journal.Add(append(list, m.event("start"))...)
}

// ends are the events of the workload's end.
func (m *monitor) ends(code int, oom bool) (list []events.Event) {
	if oom {
		list = append(list, m.event("oom"))
	}
	list = append(list, m.event("die", "exitCode", strconv.Itoa(code), "execDuration", strconv.Itoa(int(time.Since(m.began).Seconds()))))
	return append(list, m.unmounts()...)
}

// execID is a name for a further program, for who follows its events.
func execID() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
