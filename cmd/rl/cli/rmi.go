package cli

type rmiCmd struct {
	Images []string `arg:"" predictor:"image" help:"Names or ids."`
	Force  bool     `short:"f" help:"Also when a container was made of it, or it has several names."`
}

// Help is what stands below the flags.
func (rmiCmd) Help() string { return rmCmd{}.Help() }

// Run removes each image; one that fails does not keep the others.
func (c *rmiCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range c.Images {
		done, err := e.RemoveImage(a.context(), name, c.Force)
		if err != nil {
			errs = append(errs, err)
		}
		if done == nil {
			continue
		}
		for _, n := range done.Untagged {
			a.println("Untagged:", familiar(n))
		}
		for _, id := range done.Deleted {
			a.println("Deleted:", id)
		}
	}
	return refused(joined(errs))
}
