package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"rl/run/plan"
	"rl/run/state"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// saved is what a container was asked to be, kept so that it can be started again:
// the plan is made anew each time, of the same image and the same flags, for the
// host as it is then.
type saved struct {
	Flags  plan.Flags
	Rootfs string `json:",omitempty"`
}

// Create makes a container without starting it, and gives its id.
func (e *Engine) Create(ctx context.Context, c *Container) (string, error) {
	c.Idle = true
	p, err := e.prepare(ctx, c)
	if err != nil {
		return "", err
	}
	defer p.close()
	if err := p.create(); err != nil {
		return "", err
	}
	p.tellOf(p.rec, "create")
	return p.rec.ID, nil
}

// Start starts a container that has ended, or was only created. With attach it
// stays with it, as Run does, and gives the workload's exit status.
func (e *Engine) Start(ctx context.Context, text string, attach, interactive bool, detach []byte, stdio [3]*os.File) (int, error) {
	rec, err := e.State.Find(text)
	if err != nil {
		return 0, err
	}
	if e.State.Running(rec.ID) { // docker's: it is what was asked for
		if attach {
			return e.Attach(ctx, &Joining{Container: rec.ID, NoStdin: !interactive, SigProxy: true, Detach: detach, Stdio: stdio})
		}
		return 0, nil
	}
	c, err := e.again(rec)
	if err != nil {
		return 0, err
	}
	c.Background, c.Detach, c.Stdio = !attach, detach, stdio
	if !interactive || !c.Flags.Interactive {
		c.Stdio[0] = nil
	}
	c.SigProxy, c.Loose = attach, attach
	code, err := e.Run(ctx, c)
	if errors.Is(err, errRuns) && !attach && e.settled(ctx, rec) {
		return 0, nil
	}
	return code, err
}

// errRuns is an error of a start: somebody has the container's lock.
var errRuns = errors.New("is running")

// settled waits to see what somebody does who was faster: that may be a start as well, or the
// removal. It tells whether the container runs then.
func (e *Engine) settled(ctx context.Context, rec *state.Record) bool {
	for range insistTries {
		rec, err := e.State.Read(rec.ID)
		if err != nil || !e.State.Running(rec.ID) {
			return false
		}
		if s, err := sys.Dial(rec.Control); err == nil {
			s.Close()
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(insistPause):
		}
	}
	return false
}

// again is the container of a record as something to run.
func (e *Engine) again(rec *state.Record) (*Container, error) {
	if len(rec.Request) == 0 {
		return nil, fault.New("", "container %s cannot be started again: it is removed when it ends (--rm)", rec.Name)
	}
	var s saved
	if err := json.Unmarshal(rec.Request, &s); err != nil {
		return nil, fmt.Errorf("container %s: what it was asked to be: %w", rec.Name, err)
	}
	c := &Container{Flags: s.Flags, Rootfs: s.Rootfs, Name: rec.Image, ID: rec.ID, Started: func(string) {}}
	if rec.Restart != nil {
		c.Flags.Restart = *rec.Restart
	}
	if rec.Limits != nil {
		c.Flags.Limits = *rec.Limits
	}
	if rec.ImageID == "" {
		return c, nil
	}
	var err error
	c.Image, err = e.Store.Image(rec.ImageID)
	return c, err
}

// Restart stops a container that runs, and starts it.
func (e *Engine) Restart(ctx context.Context, text string, h Halt) error {
	if err := e.Stop(ctx, text, h); err != nil {
		return err
	}
	_, err := e.Start(ctx, text, false, false, nil, [3]*os.File{})
	if err == nil {
		if rec, err := e.State.Find(text); err == nil {
			e.tellOf(rec, "restart")
		}
	}
	return err
}
