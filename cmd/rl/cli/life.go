package cli

import (
	"errors"
	"fmt"
	"time"

	"rl/run"
	"rl/run/plan/option"
	"rl/run/state"
)

type stopCmd struct {
	Names  []string `arg:"" predictor:"container" help:"Names or ids."`
	Time   *int     `short:"t" aliases:"timeout" placeholder:"SECONDS" help:"How long to wait before SIGKILL; default is the container's, or 10."`
	Ignore bool     `short:"i" help:"Say nothing of containers that there are not."`
}

// Run stops each container, and prints its name as it was given.
func (c *stopCmd) Run(a *app) error {
	var patience *time.Duration
	if c.Time != nil {
		d := time.Duration(*c.Time) * time.Second
		patience = &d
	}
	return eachContainer(a, c.Names, c.Ignore, func(e *run.Engine, name string) error { return e.Stop(a.ctx, name, patience) })
}

type killCmd struct {
	Names  []string `arg:"" predictor:"container" help:"Names or ids."`
	Signal string   `short:"s" default:"KILL" placeholder:"SIGNAL" help:"Name or number of the signal."`
}

// Run sends each container the signal.
func (c *killCmd) Run(a *app) error {
	n, err := option.ParseSignal(c.Signal)
	if err != nil {
		return err
	}
	return eachContainer(a, c.Names, false, func(e *run.Engine, name string) error { return e.Kill(name, n) })
}

type rmCmd struct {
	Names   []string `arg:"" predictor:"container" help:"Names or ids."`
	Force   bool     `short:"f" help:"Remove running ones, too, and say nothing of those that there are not."`
	Volumes bool     `short:"v" help:"Accepted for docker's sake: anonymous volumes go with their container."`
}

// Run removes each container.
func (c *rmCmd) Run(a *app) error {
	return eachContainer(a, c.Names, c.Force, func(e *run.Engine, name string) error { return e.Remove(name, c.Force) })
}

type waitCmd struct {
	Names []string `arg:"" predictor:"container" help:"Names or ids."`
}

// Run prints an exit status a line.
func (c *waitCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range c.Names {
		code, err := e.Wait(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintln(a.Out, code)
	}
	return joined(errs)
}

// eachContainer does something with each; one that fails does not keep the others.
func eachContainer(a *app, names []string, ignore bool, do func(*run.Engine, string) error) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		switch err := do(e, name); {
		case err == nil:
			fmt.Fprintln(a.Out, name)
		case !ignore || !errors.Is(err, state.ErrNotFound):
			errs = append(errs, err)
		}
	}
	return joined(errs)
}

// joined keeps the remedy of an error that is alone.
func joined(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
