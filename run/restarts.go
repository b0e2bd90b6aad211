package run

import (
	"context"
	"os"

	"rl/run/monitor"
	"rl/run/plan/option"
	"rl/run/restart"
	"rl/run/state"
	"rl/userns/sys/fault"
)

// SetRestart changes a container's restart policy, at once.
func (e *Engine) SetRestart(text string, r option.Restart) error {
	rec, err := e.State.Find(text)
	if err != nil {
		return err
	}
	if rec.Remove && r.Any() {
		return fault.New("make it anew without --rm", "container %s: restart policy cannot be updated because AutoRemove is enabled for the container", rec.Name)
	}
	return e.change(rec, monitor.AskRestart, r, func(x *state.Record) error {
		x.Restart = &r
		return nil
	})
}

// StartByPolicy starts the containers that are to run when the machine has come up: those
// with the policy always, and unless-stopped but for those that somebody stopped. each is told
// of every one that was started, or could not be.
func (e *Engine) StartByPolicy(ctx context.Context, each func(name string, err error)) error {
	list, _, err := e.State.List()
	if err != nil {
		return err
	}
	for _, rec := range list {
		if rec.Fresh || rec.Restart == nil {
			continue
		}
		s, err := e.State.Status(rec)
		if err == nil && (s.Running || !restart.AtBoot(*rec.Restart, s.ByUser)) {
			continue
		}
		if err == nil {
			_, err = e.Start(ctx, rec.ID, false, false, nil, [3]*os.File{})
		}
		each(rec.Name, err)
	}
	return nil
}
