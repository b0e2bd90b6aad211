package cli

import "rl/run/plan/option"

type renameCmd struct {
	Container string `arg:"" predictor:"container" help:"Name or id of the container."`
	Name      string `arg:"" help:"Its new name."`
}

// Help is what stands below the arguments.
func (renameCmd) Help() string {
	return `Other containers of its networks find a running container by the name it was started with until it is started again.`
}

// Run renames the container. Nothing is printed, as by docker.
func (c *renameCmd) Run(a *app) error {
	name, err := option.ParseName(c.Name)
	if err != nil {
		return refused(err)
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	return refused(e.Rename(c.Container, name))
}
