package cli

import (
	"rl/oci"
	"rl/oci/ref"
	"rl/run"
)

// imageCmd is docker's second way to the verbs of images.
type imageCmd struct {
	Ls      imagesCmd       `cmd:"" aliases:"list" help:"List images."`
	Pull    pullCmd         `cmd:"" help:"Fetch an image and unpack it."`
	Inspect imageInspectCmd `cmd:"" help:"Show all that is known of images, as JSON."`
	Rm      rmiCmd          `cmd:"" aliases:"remove" help:"Remove images."`
	Prune   imagePruneCmd   `cmd:"" help:"Remove images without a name that no container was made of."`
	Exists  imageExistsCmd  `cmd:"" help:"Exit with 1 when there is no such image."`
}

type imageInspectCmd struct{ shownNames }

// Run is that of inspect, of images alone.
func (c *imageInspectCmd) Run(a *app) error {
	return (&inspectNames{shownNames: c.shownNames}).run(a, "image")
}

type imageExistsCmd struct {
	Name string `arg:"" predictor:"image" help:"Name or id."`
}

// Run says it by the exit status.
func (c *imageExistsCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	_, err = e.Lookup(c.Name)
	return existence(err, oci.ErrNotFound)
}

type imagePruneCmd struct {
	All    bool     `short:"a" help:"Remove those with a name, too."`
	Filter []string `sep:"none" placeholder:"KEY=VALUE" help:"Only those made until=TIME, or with label=KEY[=VALUE], label!=…"`
	Force  bool     `short:"f" help:"Do not ask."`
}

// Run asks, and removes the images that no container was made of.
func (c *imagePruneCmd) Run(a *app) error {
	want, err := newPruneFilter(c.Filter)
	if err != nil {
		return refused(err)
	}
	question := "This will remove all dangling images."
	if c.All {
		question = "This will remove all images without at least one container associated to them."
	}
	if !c.Force && !a.sure(question) {
		return nil
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	bytes, err := pruneImages(a, e, want, c.All)
	a.println("Total reclaimed space:", size(bytes))
	return refused(err)
}

// pruneImages removes images without a name, or all, that no container was made of, prints
// which, and gives how much that freed.
func pruneImages(a *app, e *run.Engine, want pruneFilter, all bool) (int64, error) {
	done, bytes, err := e.PruneImages(a.context(), func(i *oci.Image) bool {
		return (all || i.Name == "") && want.likes(created(i), i.Config.Config.Labels)
	})
	var lines []string
	for _, name := range done.Untagged {
		lines = append(lines, "untagged: "+familiar(name))
	}
	for _, id := range done.Deleted {
		lines = append(lines, "deleted: "+id)
	}
	deleted(a, "Images", lines)
	return bytes, err
}

// familiar is an image's name as a user types it.
func familiar(name string) string {
	if r, err := ref.Parse(name); err == nil {
		return r.Familiar()
	}
	return name
}
