package cli

import (
	"fmt"
	"strings"

	"rl/userns/sys/fault"
)

type containerCmd struct {
	Prune containerPruneCmd `cmd:"" help:"Remove all containers that have ended."`
}

type containerPruneCmd struct {
	Filter []string `sep:"none" placeholder:"KEY=VALUE" help:"Only those with this label."`
	Force  bool     `short:"f" help:"Do not ask."`
}

// Run removes them, and prints their ids as docker does.
func (c *containerPruneCmd) Run(a *app) error {
	for _, f := range c.Filter {
		if !strings.HasPrefix(f, "label=") {
			return fault.New("the filter is label, as in label=KEY=VALUE", "invalid filter %q", f)
		}
	}
	if !c.Force && !a.sure("This will remove all stopped containers.") {
		return nil
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	list, broken, err := e.State.List()
	if err != nil {
		return err
	}
	var ids []string
	for _, rec := range list {
		s, err := e.State.Status(rec)
		if err != nil || s.Running {
			continue
		}
		keep := false
		for _, f := range c.Filter {
			keep = keep || !matches("label", strings.TrimPrefix(f, "label="), rec, s)
		}
		if !keep {
			ids = append(ids, rec.ID)
		}
	}
	if len(c.Filter) == 0 {
		ids = append(ids, broken...)
	}
	var errs []error
	for i, id := range ids {
		if err := e.Remove(id, false, false); err != nil {
			errs = append(errs, err)
			continue
		}
		if i == 0 {
			fmt.Fprintln(a.Out, "Deleted Containers:")
		}
		fmt.Fprintln(a.Out, id)
	}
	return joined(errs)
}
