package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"rl/run"
	"rl/run/monitor"
	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

type execCmd struct {
	Container string   `arg:"" predictor:"container" help:"Name or id."`
	Command   []string `arg:"" passthrough:"" help:"Command and its arguments."`

	Detach      bool     `short:"d" help:"Leave as soon as it runs."`
	DetachKeys  string   `default:"ctrl-p,ctrl-q" help:"Keys that leave it running."`
	Env         []string `short:"e" sep:"none" placeholder:"NAME[=VALUE]" help:"Environment variable."`
	EnvFile     []string `sep:"none" placeholder:"FILE" help:"File of environment variables."`
	Interactive bool     `short:"i" help:"Keep standard input open."`
	Privileged  bool     `help:"All capabilities over the container's namespaces, no seccomp profile."`
	Tty         bool     `short:"t" help:"Give it a terminal."`
	User        string   `short:"u" placeholder:"USER[:GROUP]" help:"User, by name or number."`
	Workdir     string   `short:"w" placeholder:"DIR" help:"Working directory."`
}

// Help is what stands below the flags.
func (execCmd) Help() string {
	return `The exit status is the command's; 125 when rl failed, 126 when the command cannot be executed, 127 when it is not found. The command has the container's environment, user, capabilities and filters, but for what is said here.

With --privileged it has all capabilities of the container's user namespace and no seccomp profile: it may mount, as nobody else in the container may, and is no more than you are on the host. Masked paths stay masked, and no-new-privileges holds. Where you have a single id (rl doctor tells), --user changes nothing: everybody in the container is its one user.`
}

// Run runs the command.
func (c *execCmd) Run(a *app) error {
	if c.Tty && c.Interactive && !c.Detach {
		if _, err := unix.IoctlGetTermios(int(a.In.Fd()), unix.TCGETS); err != nil {
			return fault.New("leave -t away, or run rl from a terminal", "the input device is not a terminal")
		}
	}
	x := &run.Execution{Container: c.Container, Interactive: c.Interactive, Background: c.Detach, Stdio: [3]*os.File{a.In, a.Out, a.Err},
		Exec: monitor.Exec{Args: c.Command, User: c.User, Cwd: c.Workdir, Terminal: c.Tty, Privileged: c.Privileged}}
	var err error
	if x.Detach, err = option.ParseDetachKeys(c.DetachKeys); err != nil {
		return err
	}
	var vars []option.Env
	for _, file := range c.EnvFile {
		list, err := readFile(file, func(r io.Reader, name string) ([]option.Env, error) {
			return option.ParseEnvFile(r, name, os.LookupEnv)
		})
		if err != nil {
			return err
		}
		vars = append(vars, list...)
	}
	if err := each(c.Env, func(s string) (option.Env, error) { return option.ParseEnv(s, os.LookupEnv) }, &vars); err != nil {
		return err
	}
	for _, v := range vars {
		if v.Unset {
			x.Env = append(x.Env, v.Name)
		} else {
			x.Env = append(x.Env, v.Name+"="+v.Value)
		}
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	code, err := e.Exec(x)
	if err != nil {
		return err
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}
