package cli

import (
	"os"

	"rl/run"
	"rl/run/plan/option"
)

type attachCmd struct {
	Container string `arg:"" predictor:"container" help:"Name or id."`

	DetachKeys string `default:"ctrl-p,ctrl-q" placeholder:"KEYS" help:"Keys that leave a container with a terminal."`
	NoStdin    bool   `help:"Do not type, look on."`
	SigProxy   bool   `default:"true" negatable:"" help:"Hand signals on to the workload, where it has no terminal."`
}

// Help is what stands below the flags.
func (attachCmd) Help() string {
	return `Several may be attached at once: all see what comes from now on, all may type where the container was started with -i. The exit status is the workload's when it ends while we are attached. A container that was started in the foreground without a terminal cannot be attached to: it has the streams of the command that started it.`
}

// Run stays attached until the container ends or the detach keys come.
func (c *attachCmd) Run(a *app) error {
	keys, err := option.ParseDetachKeys(c.DetachKeys)
	if err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	code, err := e.Attach(a.context(), &run.Joining{Container: c.Container, NoStdin: c.NoStdin, SigProxy: c.SigProxy, Detach: keys,
		Stdio: [3]*os.File{a.In, a.Out, a.Err}})
	if err == nil && code != 0 {
		err = exitCode(code)
	}
	return err
}
