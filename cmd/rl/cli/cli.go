// Package cli is the command line: one file a verb, and one place where an error
// becomes text and an exit code.
//
// Names, flags and output are docker's wherever docker has them. A setting comes
// from its flag, else from RL_NAME in the environment, else from the user's
// configuration file, else from the system's.
//
// The manners: results go to standard output and nothing else does; what failed,
// why, and what to do go to standard error, as "rl: what: why" and an indented
// second line; a notice begins with "rl: note:". Nothing is coloured, progress is
// drawn on terminals only.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"rl/oci"
	"rl/run"
	"rl/userns/sys/fault"
)

// Stdio is where the program talks.
type Stdio struct{ In, Out, Err *os.File }

// exitFailure is the status of rl's own failures, docker's 125.
const exitFailure = 125

// grammar is the whole command line.
type grammar struct {
	Global `embed:""`

	containerVerbs `embed:""`

	Pull        pullCmd        `cmd:"" help:"Fetch an image and unpack it."`
	Images      imagesCmd      `cmd:"" help:"List images."`
	Rmi         rmiCmd         `cmd:"" help:"Remove images."`
	Ps          psCmd          `cmd:"" help:"List containers."`
	Inspect     inspectCmd     `cmd:"" help:"Show all that is known of containers, images, networks or volumes, as JSON."`
	Container   containerCmd   `cmd:"" help:"Manage containers."`
	Image       imageCmd       `cmd:"" help:"Manage images."`
	Network     networkCmd     `cmd:"" help:"Manage networks of containers."`
	Volume      volumeCmd      `cmd:"" help:"Manage volumes."`
	System      systemCmd      `cmd:"" help:"Show what takes disk space, and free it."`
	Events      eventsCmd      `cmd:"" help:"Show what happens to containers, images, networks and volumes."`
	Generate    generateCmd    `cmd:"" help:"Print what starts containers after a boot."`
	Healthcheck healthcheckCmd `cmd:"" help:"Probe containers that have a health check."`
	Doctor      doctorCmd      `cmd:"" help:"Tell what this machine offers, what rl does with it, and what would help."`
	Version     versionCmd     `cmd:"" help:"Show the version."`
	Completion  completionCmd  `cmd:"" help:"Print a completion script for a shell."`
	Hello       helloCmd       `cmd:"" hidden:"" name:"__hello" help:"Print what this process sees (the workload of the image hello)."`
}

// Global are the settings that every verb has.
type Global struct {
	Help     helpFlag    `help:"Show help."`
	Version  versionFlag `name:"version" help:"Show the version."`
	Root     string      `name:"root" env:"RL_ROOT" placeholder:"DIR" help:"Directory of images and containers."`
	Userns   string      `name:"identity" env:"RL_USERNS" placeholder:"RUNG" help:"Pin the identity ladder: auto, straight, subids or single."`
	Driver   string      `name:"rootfs-driver" env:"RL_ROOTFS_DRIVER" placeholder:"DRIVER" help:"Pin the rootfs ladder: auto, kernel, fuse or copy."`
	Cgroups  string      `name:"cgroups" env:"RL_CGROUPS" placeholder:"RUNG" help:"Pin the cgroup ladder: auto, systemd, delegated or none; podman's enabled, disabled and split."`
	Insecure []string    `name:"insecure-registry" env:"RL_INSECURE_REGISTRY" placeholder:"HOST" help:"Registry that may speak http or show any certificate; * is all."`
	Retries  int         `name:"retries" env:"RL_RETRIES" default:"5" help:"How often a download that fails is tried again."`
	Jobs     int         `name:"jobs" env:"RL_JOBS" default:"3" help:"How many layers are fetched at a time."`
	Quiet    bool        `name:"no-notices" env:"RL_NO_NOTICES" help:"Leave out notices about what was gone without."`
}

// helpFlag shows help for the command it stands behind.
type helpFlag bool

// BeforeReset prints the help and ends parsing.
func (helpFlag) BeforeReset(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	return errHelp
}

var errHelp = errors.New("help was shown")

// versionFlag is the verb version, for hands that type it so.
type versionFlag bool

// BeforeReset prints the version and ends parsing.
func (versionFlag) BeforeReset(ctx *kong.Context) error {
	fmt.Fprintln(ctx.Stdout, versionLine())
	return errHelp
}

// app is what a verb runs with.
type app struct {
	Stdio
	*Global
	ctx context.Context // see context

	unsaid error // the first failure of println and printf
}

// println writes a line of the result; that it could not fails the command at its end.
func (a *app) println(what ...any) { a.printf("%s", fmt.Sprintln(what...)) }

func (a *app) printf(format string, what ...any) {
	if _, err := fmt.Fprintf(a.Out, format, what...); err != nil && a.unsaid == nil {
		a.unsaid = err
	}
}

// context ends with SIGTERM, which is caught for the verbs that ask for it alone: they tidy up, or
// hand it on. Any other that waits, for a container's monitor say, is ended by that signal as by the rest.
func (a *app) context() context.Context {
	if a.ctx == nil {
		a.ctx, _ = signal.NotifyContext(context.Background(), syscall.SIGTERM)
	}
	return a.ctx
}

// terminated is the status of a verb that has tidied up: that of one which need not.
func (a *app) terminated(err error) error {
	if a.ctx != nil && a.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return exitCode(128 + int(syscall.SIGTERM))
	}
	return err
}

// Main runs the command line and gives the exit status.
func Main(args []string, stdio Stdio) int {
	var g grammar
	return render(stdio, dispatch(&g, args, stdio))
}

func dispatch(g *grammar, args []string, stdio Stdio) error {
	if completing() {
		parser, err := newParser(g, stdio)
		if err == nil {
			completeLine(parser)
		}
		return err
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	for _, arg := range args {
		if !utf8.ValidString(arg) { // what is stored of a container, and said to its monitor, is JSON
			return fault.New("have a shell in the container write such bytes: sh -c 'printf \"\\377\"'", "the argument %q is not UTF-8, and would not arrive as it is", arg)
		}
	}
	args = dockerHelp(ungrouped(args))
	parser, err := parserFor(g, args[0], stdio)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if errors.Is(err, errHelp) {
		return nil
	}
	if err != nil {
		return usageError(err)
	}
	if g.Root != "" {
		os.Setenv("RL_ROOT", g.Root)
	}
	a := &app{Stdio: stdio, Global: &g.Global}
	if err := parsed.Run(a); err != nil {
		return a.terminated(err)
	}
	return a.unsaid
}

// dockerHelp makes -h mean help, but for run, where it is docker's --hostname,
// and "help" a verb.
func dockerHelp(args []string) []string {
	if args[0] == "help" {
		return append(args[1:], "--help")
	}
	if args[0] != "run" && args[0] != "create" && args[0] != "exec" && args[len(args)-1] == "-h" {
		return append(args[:len(args)-1:len(args)-1], "--help")
	}
	return psArgs(args)
}

// usageError makes kong's error one of ours.
func usageError(err error) error {
	var parse *kong.ParseError
	hint := "`rl --help` lists the commands"
	if errors.As(err, &parse) && parse.Context != nil && parse.Context.Selected() != nil {
		verb := parse.Context.Selected()
		hint = "`" + verb.FullPath() + " --help` lists what it takes"
		if refused := refusal(parse); refused != nil && (verb.Name == "run" || verb.Name == "create") {
			return refused
		}
	}
	return fault.New(hint, "%s", strings.TrimPrefix(err.Error(), "error: "))
}

// engine opens the store with the settings of the command line.
func (a *app) engine() (*run.Engine, error) {
	s := run.Settings{Userns: a.Userns, Driver: a.Driver, Jobs: a.Jobs, Notice: a.notice}
	s.Registry.Insecure, s.Registry.Retries = a.Insecure, a.Retries
	s.Registry.UserAgent = "rl/" + version
	return run.Open(s)
}

func (a *app) notice(text string) {
	if !a.Quiet {
		fmt.Fprintln(a.Err, "rl: note:", text)
	}
}

// exitCode is the status of a workload: no failure of rl's, nothing to print.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }

// render writes an error for a person and gives its exit status.
func render(stdio Stdio, err error) int {
	if err == nil {
		return 0
	}
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	each := []error{err}
	var several failures
	if errors.As(err, &several) {
		each = several
	}
	for _, err := range each {
		_, hint := advice(err)
		fmt.Fprintln(stdio.Err, "rl:", strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
		if hint != "" {
			fmt.Fprintln(stdio.Err, "  "+hint)
		}
	}
	status, _ := advice(err)
	return status
}

// advice is the exit status and the remedy of the outermost errors that know
// one.
func advice(err error) (status int, hint string) {
	status = exitFailure
	var walk func(error)
	walk = func(err error) {
		if f, ok := err.(*fault.Error); ok {
			if hint == "" {
				hint = f.Hint
			}
			if f.Code != 0 && status == exitFailure {
				status = f.Code
			}
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		}
	}
	walk(err)
	if hint == "" && errors.Is(err, oci.ErrCorrupt) {
		hint = "it is damaged, or was never right: have it built or sent again"
	}
	return status, hint
}
