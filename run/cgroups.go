package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"rl/run/cgroup"
	"rl/run/cgroup/bus"
	"rl/run/monitor"
	"rl/run/plan/option"
	"rl/run/state"
	"rl/userns/probe"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// placing is a container's way into a cgroup of its own. It goes on beside the rest of the
// start: a service manager takes its time.
type placing struct {
	choice   probe.Choice
	settings []cgroup.Setting
	done     chan placed
}

type placed struct {
	where monitor.Cgroup
	err   error
}

// chooseCgroup climbs the ladder. Without a rung there are no limits, which is an error when
// some were asked for.
func (p *preparation) chooseCgroup() error {
	c, err := probe.Cgroup(p.Facts, p.Flags.Cgroups)
	if err != nil {
		return err
	}
	p.cgroup = placing{choice: c, settings: cgroup.Settings(p.Flags.Limits)}
	if err := p.Flags.Limits.Check(runtime.NumCPU()); err != nil {
		return err
	}
	if len(p.cgroup.settings) == 0 {
		return nil
	}
	reason, remedy := "", ""
	if c.Rung == probe.CgroupNone {
		reason, remedy = lacking(c)
	} else if version, _ := p.Facts.CgroupVersion(); version != probe.CgroupUnified {
		check := p.Facts.Check("cgroup")
		reason, remedy = check.Fact+": "+check.Reason, check.Remedy
	}
	if reason == "" {
		return nil
	}
	// That there is to be no limit can be had everywhere.
	p.cgroup.settings = slices.DeleteFunc(p.cgroup.settings, cgroup.Setting.Unlimited)
	if len(p.cgroup.settings) > 0 {
		return fault.New(remedy, "%s: limits need a cgroup of the container's own, and there is none: %s", p.cgroup.settings[0].Flag, reason)
	}
	return nil
}

// lacking is why there is no better rung, and what would help: for a service manager's, when
// there is one.
func lacking(c probe.Choice) (reason, remedy string) {
	if len(c.Missed) == 0 {
		return c.Reason, "leave --cgroups away"
	}
	m := c.Missed[0]
	return m.Reason, m.Remedy
}

// place makes the cgroup and puts the monitor and init into it. It reads the monitor's
// socket until it knows them, when nobody else does.
func (p *preparation) place(ctx context.Context) (w monitor.Cgroup, err error) {
	ctx, cancel := context.WithTimeout(ctx, bus.Patience)
	defer cancel()
	c := p.cgroup.choice
	var manager *cgroup.Manager
	if c.Rung == probe.CgroupSystemd {
		if manager, err = cgroup.Connect(ctx, c.Path); err == nil {
			defer manager.Close()
		} else {
			err = fmt.Errorf("the service manager cannot be reached: %w", err)
		}
	}
	want, bornErr := p.born()
	if bornErr != nil {
		return w, bornErr
	}
	var g cgroup.Group
	_, mount := p.Facts.CgroupVersion()
	switch {
	case manager != nil:
		g, err = manager.Scope(mount, want)
	case c.Rung == probe.CgroupDelegated:
		g, err = cgroup.Leaf(c.Path, want)
	}
	w.Rung, w.Remedy = string(c.Rung), want.Remedy
	if err == nil {
		w.Dir = g.Dir
		w.Home, err = cgroup.Of(mount, want.Monitor)
		return w, err
	}
	var f *fault.Error
	if errors.As(err, &f) { // a limit that cannot be: no other rung makes it possible
		return w, err
	}
	if c.Rung == probe.CgroupSystemd && pinned(p.Flags.Cgroups) == "" {
		if lower, e := probe.Cgroup(p.Facts, string(probe.CgroupDelegated)); e == nil {
			w.Why = err.Error()
			w.Rung = string(lower.Rung)
			if g, err = cgroup.Leaf(lower.Path, want); err == nil {
				w.Dir = g.Dir
				w.Home, err = cgroup.Of(mount, want.Monitor)
				return w, err
			}
		}
	}
	if len(want.Settings) > 0 || pinned(p.Flags.Cgroups) != "" {
		return w, err
	}
	return monitor.Cgroup{Rung: string(probe.CgroupNone), Why: err.Error()}, nil
}

// pinned is the rung that was asked for by name, "" when any will do.
func pinned(pin string) string {
	switch pin {
	case "", "auto", "enabled", "no-conmon":
		return ""
	}
	return pin
}

// born waits until the monitor has started init, and finds both among the caller's
// processes.
func (p *preparation) born() (w cgroup.Want, err error) {
	msg, files, err := p.child.Socket.Recv()
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	switch {
	case err != nil:
		return w, fmt.Errorf("start the container's first process: %w", err)
	case msg[0] == monitor.MsgError:
		return w, refusal(msg[1:])
	case msg[0] != monitor.MsgBorn:
		return w, fmt.Errorf("unexpected message %q from the monitor", msg)
	case len(files) != 2:
		return w, errors.New("a cgroup of its own needs Linux 5.3")
	}
	w = cgroup.Want{ID: p.newID, Name: p.Flags.Name, Parent: p.Flags.CgroupParent, Settings: p.cgroup.settings}
	if w.Name == "" {
		w.Name = p.newID[:12]
	}
	if len(w.Settings) > 0 {
		w.Remedy = p.Facts.DelegateRemedy()
	}
	if w.Monitor, err = sys.PidOf(files[0]); err == nil {
		w.Init, err = sys.PidOf(files[1])
	}
	return w, err
}

// beginPlacing starts place in the background.
func (p *preparation) beginPlacing() {
	p.cgroup.done = make(chan placed, 1)
	if p.cgroup.choice.Rung == probe.CgroupNone {
		why, remedy := lacking(p.cgroup.choice)
		p.cgroup.done <- placed{where: monitor.Cgroup{Rung: string(probe.CgroupNone), Why: why, Remedy: remedy}}
		return
	}
	go func() {
		where, err := p.place(p.ctx)
		p.cgroup.done <- placed{where, err}
	}()
}

// placed waits for place, whose work nobody will use.
func (p *preparation) placed() (g cgroup.Group) {
	if p.cgroup.done != nil {
		g.Dir = (<-p.cgroup.done).where.Dir
	}
	return g
}

// sweepCgroups removes what killed monitors left.
func (e *Engine) sweepCgroups() error {
	c, err := probe.Cgroup(e.Facts, string(probe.CgroupDelegated))
	if err != nil {
		return nil // no cgroup is ours
	}
	return cgroup.Sweep(c.Path, e.State.Running)
}

// Pause stops the processes of a container.
func (e *Engine) Pause(text string) error { return e.askCgroup(text, monitor.AskFreeze) }

// Unpause lets them go on.
func (e *Engine) Unpause(text string) error { return e.askCgroup(text, monitor.AskThaw) }

func (e *Engine) askCgroup(text string, what byte) error {
	rec, err := e.running(text)
	if err != nil {
		return err
	}
	return ask(rec, []byte{what})
}

// Update changes the limits of a container; one that runs has them at once.
func (e *Engine) Update(text string, change option.Limits) error {
	rec, err := e.State.Find(text)
	if err != nil {
		return err
	}
	return e.change(rec, monitor.AskLimits, change, func(r *state.Record) error {
		all, _, err := cgroup.Change(r.Limits, change, runtime.NumCPU())
		if err == nil { // whether they can be had, the next start sees: it may be in another session
			r.Limits = &all
		}
		return err
	})
}

// workloadCgroup is the cgroup of a running container's workload.
func (e *Engine) workloadCgroup(rec *state.Record) (cgroup.Group, bool) {
	g := e.State.Cgroup(rec)
	if g.Dir == "" {
		return g, false
	}
	_, err := os.Stat(filepath.Join(g.Dir, "cgroup.procs"))
	return g, err == nil
}
