package cli

import (
	"rl/oci/ref"
	"rl/run"
	"rl/run/plan/option"
)

type pullCmd struct {
	Image    string `arg:"" predictor:"image" help:"NAME[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE or docker-archive:FILE."`
	Platform string `placeholder:"OS/ARCH" help:"Platform to fetch; default is this machine's."`
	Quiet    bool   `short:"q" help:"Print only the image's id."`
	Policy   string `name:"policy" default:"always" placeholder:"POLICY" help:"missing, always or never."`
}

// Run pulls the image and prints what docker prints at the end.
func (c *pullCmd) Run(a *app) error {
	r, err := ref.Parse(c.Image)
	if err != nil {
		return err
	}
	policy, err := option.ParsePull(c.Policy)
	if err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	var bars *bars
	if !c.Quiet {
		bars = newBars(a.Err)
	}
	img, err := e.Find(a.context(), run.Request{Ref: r, Pull: policy, Platform: c.Platform, Progress: bars})
	bars.end()
	if err != nil {
		return err
	}
	if c.Quiet {
		a.println(img.ID)
		return nil
	}
	a.printf("Digest: %s\n%s\n", img.Descriptor.Digest, img.Name)
	return e.Sweep(a.context())
}
