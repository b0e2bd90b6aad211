package cli

import (
	"errors"
	"reflect"

	"rl/run/state"
)

// containerVerbs are what one does with a container: docker has them with and without the word
// container before.
type containerVerbs struct {
	Run     runCmd     `cmd:"" help:"Run a command in a new container."`
	Create  createCmd  `cmd:"" help:"Make a container without starting it."`
	Start   startCmd   `cmd:"" help:"Start containers that were created, or have ended."`
	Attach  attachCmd  `cmd:"" help:"Join our streams and those of a running container."`
	Exec    execCmd    `cmd:"" help:"Run a further command in a running container."`
	Logs    logsCmd    `cmd:"" help:"Show what a container wrote."`
	Stop    stopCmd    `cmd:"" help:"Ask containers to end, and end them after a while."`
	Restart restartCmd `cmd:"" help:"Stop containers and start them again."`
	Kill    killCmd    `cmd:"" help:"Send containers a signal."`
	Wait    waitCmd    `cmd:"" help:"Wait until containers have ended, and print their exit statuses."`
	Rm      rmCmd      `cmd:"" help:"Remove containers."`
	Rename  renameCmd  `cmd:"" help:"Give a container another name."`
	Pause   pauseCmd   `cmd:"" help:"Stop the processes of containers where they are."`
	Unpause unpauseCmd `cmd:"" help:"Let the processes of paused containers go on."`
	Update  updateCmd  `cmd:"" help:"Change the limits of containers."`
	Cp      cpCmd      `cmd:"" help:"Copy files between a container and the host."`
	Diff    diffCmd    `cmd:"" help:"List what a container changed in its file system."`
	Export  exportCmd  `cmd:"" help:"Write a container's file system as a tar archive."`
	Stats   statsCmd   `cmd:"" help:"Show what containers use of the machine."`
	Top     topCmd     `cmd:"" help:"List the processes of a container."`
	Port    portCmd    `cmd:"" help:"List the published ports of a container, or where one of them is."`
}

type containerCmd struct {
	containerVerbs `embed:""`

	Ls      psCmd               `cmd:"" aliases:"list,ps" help:"List containers."`
	Inspect containerInspectCmd `cmd:"" help:"Show all that is known of containers, as JSON."`
	Prune   containerPruneCmd   `cmd:"" help:"Remove all containers that have ended."`
	Exists  containerExistsCmd  `cmd:"" help:"Exit with 1 when there is no such container."`
}

// ungrouped leaves the word container away before a verb that there is without.
func ungrouped(args []string) []string {
	if args[0] == "container" && len(args) > 1 {
		if _, there := verb(reflect.ValueOf(&containerVerbs{}).Elem(), args[1]); there {
			return args[1:]
		}
	}
	return args
}

type containerInspectCmd struct{ inspectNames }

// Run is that of inspect, of containers alone.
func (c *containerInspectCmd) Run(a *app) error { return c.run(a, "container") }

type containerExistsCmd struct {
	Name string `arg:"" predictor:"container" help:"Name or id."`
}

// Run says it by the exit status.
func (c *containerExistsCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	_, err = e.State.Find(c.Name)
	return existence(err, state.ErrNotFound)
}

// existence makes that there is no such thing podman's exit status for it, of which nothing is said.
func existence(err, none error) error {
	if errors.Is(err, none) {
		return exitCode(1)
	}
	return err
}

type containerPruneCmd struct {
	Filter []string `sep:"none" placeholder:"KEY=VALUE" help:"Only those made until=TIME, or with label=KEY[=VALUE], label!=…"`
	Force  bool     `short:"f" help:"Do not ask."`
}

// Run removes them, and prints their ids as docker does.
func (c *containerPruneCmd) Run(a *app) error {
	want, err := newPruneFilter(c.Filter)
	if err != nil {
		return err
	}
	if !c.Force && !a.sure("This will remove all stopped containers.") {
		return nil
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	ids, bytes, err := e.PruneContainers(func(rec *state.Record, _ state.Status) bool { return want.likes(rec.Created, rec.Labels) }, len(c.Filter) == 0)
	deleted(a, "Containers", ids)
	a.println("Total reclaimed space:", size(bytes))
	return refused(err)
}
