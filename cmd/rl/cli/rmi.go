package cli

import (
	"errors"
	"fmt"

	"rl/oci/ref"
)

type rmiCmd struct {
	Images []string `arg:"" predictor:"image" help:"Names or ids."`
	Force  bool     `short:"f" help:"Also when a container was made of it, or it has several names."`
}

// Run removes each image; one that fails does not keep the others.
func (c *rmiCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range c.Images {
		done, err := e.RemoveImage(a.ctx, name, c.Force)
		if err != nil {
			errs = append(errs, err)
		}
		if done == nil {
			continue
		}
		for _, n := range done.Untagged {
			if r, err := ref.Parse(n); err == nil {
				n = r.Familiar()
			}
			fmt.Fprintln(a.Out, "Untagged:", n)
		}
		for _, id := range done.Deleted {
			fmt.Fprintln(a.Out, "Deleted:", id)
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}
