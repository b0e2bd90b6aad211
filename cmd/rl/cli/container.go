package cli

import (
	"fmt"

	"rl/run/state"
)

type containerCmd struct {
	Prune containerPruneCmd `cmd:"" help:"Remove all containers that have ended."`
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
	fmt.Fprintln(a.Out, "Total reclaimed space:", size(bytes))
	return refused(err)
}
