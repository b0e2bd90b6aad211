package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"rl/run"
	"rl/run/plan/option"
	"rl/run/state"
	"rl/userns/sys/fault"
)

type startCmd struct {
	Names       []string `arg:"" optional:"" predictor:"container" help:"Names or ids."`
	Attach      bool     `short:"a" help:"Stay with it: its output, signals, exit status."`
	DetachKeys  string   `default:"ctrl-p,ctrl-q" help:"Keys that leave a container with a terminal running."`
	Interactive bool     `short:"i" help:"Stay with it, and give it our standard input."`
	ByPolicy    bool     `name:"restart-policy" help:"Start those that are to run after a boot: --restart always, and unless-stopped if nobody stopped them."`
}

// Run starts each container.
func (c *startCmd) Run(a *app) error {
	switch {
	case c.ByPolicy && (len(c.Names) > 0 || c.Attach || c.Interactive):
		return fault.New("name containers, or leave it to their policies", "--restart-policy takes no containers, and stays with none")
	case c.ByPolicy:
		return c.byPolicy(a)
	case len(c.Names) == 0:
		return fault.New("`rl ps -a` lists them", "no container was named")
	}
	if !c.Attach && !c.Interactive {
		return eachContainer(a, c.Names, false, func(e *run.Engine, name string) error {
			_, err := e.Start(a.context(), name, false, false, nil, [3]*os.File{})
			return err
		})
	}
	if len(c.Names) > 1 {
		return fault.New("start them one by one", "you cannot start and attach multiple containers at once")
	}
	keys, err := option.ParseDetachKeys(c.DetachKeys)
	if err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	code, err := e.Start(a.context(), c.Names[0], true, c.Interactive, keys, [3]*os.File{a.In, a.Out, a.Err})
	if err == nil && code != 0 {
		err = exitCode(code)
	}
	return err
}

func (c *startCmd) byPolicy(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	var errs []error
	err = e.StartByPolicy(a.context(), func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			return
		}
		a.println(name)
	})
	if err != nil {
		return err
	}
	return joined(errs)
}

// haltFlags are how a container is ended.
type haltFlags struct {
	Signal string `short:"s" placeholder:"SIGNAL" help:"Asks it to end; default is the container's, or SIGTERM."`
	Time   *int   `short:"t" aliases:"timeout" placeholder:"SECONDS" help:"How long to wait before SIGKILL; default is the container's, or 10; -1 is for ever."`
}

func (c *haltFlags) halt() (h run.Halt, err error) {
	if c.Time != nil {
		d := time.Duration(*c.Time) * time.Second
		h.Timeout = &d
	}
	if c.Signal != "" {
		h.Signal, err = option.ParseSignal(c.Signal)
	}
	return h, err
}

type restartCmd struct {
	Names []string `arg:"" predictor:"container" help:"Names or ids."`

	haltFlags `embed:""`
}

// Run stops and starts each container.
func (c *restartCmd) Run(a *app) error {
	h, err := c.halt()
	if err != nil {
		return err
	}
	return eachContainer(a, c.Names, false, func(e *run.Engine, name string) error { return e.Restart(a.context(), name, h) })
}

type stopCmd struct {
	Names []string `arg:"" predictor:"container" help:"Names or ids."`

	haltFlags `embed:""`

	Ignore bool `short:"i" help:"Say nothing of containers that there are not."`
}

// Run stops each container, and prints its name as it was given.
func (c *stopCmd) Run(a *app) error {
	h, err := c.halt()
	if err != nil {
		return err
	}
	return eachContainer(a, c.Names, c.Ignore, func(e *run.Engine, name string) error { return e.Stop(a.context(), name, h) })
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
	Volumes bool     `short:"v" help:"Remove their anonymous volumes, too."`
}

// Help is what stands below the flags.
func (rmCmd) Help() string { return "Exit status 1 when one of them could not be removed." }

// Run removes each container.
func (c *rmCmd) Run(a *app) error {
	return refused(eachContainer(a, c.Names, c.Force, func(e *run.Engine, name string) error { return e.Remove(name, c.Force, c.Volumes) }))
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
		a.println(code)
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
			a.println(name)
		case !ignore || !errors.Is(err, state.ErrNotFound):
			errs = append(errs, err)
		}
	}
	return joined(errs)
}

// joined makes the failures of several things one; nil when there is none.
func joined(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return failures(errs)
}

// failures are of different things: each is told in a line of its own, with its remedy.
type failures []error

func (f failures) Error() string { return errors.Join(f...).Error() }

// Unwrap gives them to errors.Is and errors.As.
func (f failures) Unwrap() []error { return f }
