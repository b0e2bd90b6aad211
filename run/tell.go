package run

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"rl/run/events"
	"rl/run/network"
	"rl/run/state"
	"rl/userns/probe"
)

// journal is where the events of this store are written: the monitors write most of
// them, this room what they cannot know of.
func (e *Engine) journal() events.Journal {
	dir, err := probe.Runtime(e.Facts)
	if err != nil {
		return ""
	}
	return events.For(dir.Path, e.Store.Root())
}

// tell writes events. That it cannot is nobody's loss but a reader's.
func (e *Engine) tell(list ...events.Event) { e.journal().Add(list...) }

// tellOf tells what happened to a container; more are further attributes, name and value in turn.
func (e *Engine) tellOf(rec *state.Record, action string, more ...string) {
	e.tell(events.New(events.Container, action, rec.ID, about(rec), more...))
}

// about are docker's attributes of a container's events.
func about(rec *state.Record) map[string]string {
	m := map[string]string{}
	for k, v := range rec.Labels {
		m[k] = v
	}
	m["image"], m["name"] = rec.Image, rec.Name
	return m
}

// mourn records the end of a container whose monitor was killed, which nobody has done
// yet: the kernel killed the workload. The caller holds its lock. One that is litter
// (--rm) is destroyed by that, as it is removed by whoever found it.
func (e *Engine) mourn(rec *state.Record) {
	path := filepath.Join(e.State.Dir(rec), state.ExitFile)
	if _, err := os.Lstat(path); err == nil || rec.Fresh {
		return
	}
	text := strconv.Itoa(state.Killed) + " " + time.Now().UTC().Format(time.RFC3339Nano) + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil { // it will be found again
		return
	}
	list := []events.Event{events.New(events.Container, "die", rec.ID, about(rec), "exitCode", strconv.Itoa(state.Killed))}
	if rec.Remove {
		list = append(list, events.New(events.Container, "destroy", rec.ID, about(rec)))
	}
	e.tell(list...)
}

// mourned is mourn for who has no lock.
func (e *Engine) mourned(rec *state.Record) {
	if lock, err := e.State.Claim(rec, false); err == nil {
		e.mourn(rec)
		lock.Close()
	}
}

// Status is what a container is doing. One whose end nobody saw has ended now, when it is found.
func (e *Engine) Status(rec *state.Record) (state.Status, error) {
	list, err := e.Statuses([]*state.Record{rec})
	return list[0], err
}

// Statuses are those of several containers.
func (e *Engine) Statuses(list []*state.Record) ([]state.Status, error) {
	all, err := e.State.Statuses(list)
	for i, s := range all {
		if s.Unseen {
			e.mourned(list[i])
			all[i], _ = e.State.Status(list[i])
		}
	}
	return all, err
}

// Events gives what happened, and with w.Follow what happens.
func (e *Engine) Events(ctx context.Context, w events.Want, each func(events.Event) error) error {
	dir, err := probe.Runtime(e.Facts)
	if err != nil {
		return err
	}
	w.Lost = func() { e.Notice("some events went before they could be read: they came too fast") }
	return events.For(dir.Path, e.Store.Root()).Read(ctx, w, each)
}

// tellNetwork tells what happened to a network, or with a container to a network.
func (e *Engine) tellNetwork(n *network.Network, action string, more ...string) {
	e.tell(events.New(events.Network, action, n.ID, map[string]string{"name": n.Name, "type": "bridge"}, more...))
}

// tellImage tells what happened to an image: its id, or the name that was asked for.
func (e *Engine) tellImage(id, name, action string) {
	e.tell(events.New(events.Image, action, id, map[string]string{"name": name}))
}
