package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rl/run"
	"rl/run/volume"
	"rl/userns/sys/fault"
)

type volumeCmd struct {
	Create  volumeCreateCmd  `cmd:"" help:"Make a volume."`
	Ls      volumeLsCmd      `cmd:"" aliases:"list" help:"List volumes."`
	Inspect volumeInspectCmd `cmd:"" help:"Show all that is known of volumes, as JSON."`
	Rm      volumeRmCmd      `cmd:"" aliases:"remove" help:"Remove volumes that no container uses."`
	Prune   volumePruneCmd   `cmd:"" help:"Remove all anonymous volumes that no container uses."`
	Exists  volumeExistsCmd  `cmd:"" help:"Exit with 1 when there is no such volume."`
}

// Help is what stands below the list of verbs.
func (volumeCmd) Help() string {
	return `A volume is a directory that outlives the containers which use it: rl run -v NAME:/dir. The first container that uses an empty one fills it with what its image has there. Exit status 1 when what was asked cannot be.`
}

// refused gives an error docker's exit status for what its daemon refuses.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return &fault.Error{Err: err, Code: 1}
}

type volumeCreateCmd struct {
	Name   string   `arg:"" optional:"" help:"Name of the volume; without one it is anonymous."`
	Driver string   `short:"d" default:"local" placeholder:"DRIVER" help:"local, the only one there is."`
	Label  []string `short:"l" sep:"none" placeholder:"KEY=VALUE" help:"Label."`
	Opt    []string `short:"o" sep:"none" placeholder:"KEY=VALUE" help:"Refused: what docker's options mount needs root."`
}

// Run makes the volume and prints its name. One that there is already is no error.
func (c *volumeCreateCmd) Run(a *app) error {
	if c.Driver != "local" {
		return refused(fault.New("leave --driver away: volumes are directories", "there is no volume driver %q", c.Driver))
	}
	if len(c.Opt) > 0 {
		return refused(fault.New("leave --opt away; to use a directory of the host, bind it: -v /dir:"+"/dir, or --tmpfs for memory",
			"volume option %q: to mount something else than a directory needs root on the host", c.Opt[0]))
	}
	labels, err := pairs(c.Label)
	if err != nil {
		return refused(err)
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	v, err := e.CreateVolume(c.Name, labels)
	if err != nil {
		return refused(err)
	}
	a.println(v.Name)
	return nil
}

type volumeLsCmd struct {
	Filter []string `short:"f" sep:"none" placeholder:"KEY=VALUE" help:"Only those with this driver, label or name, or dangling=true: that no container uses."`
	Format string   `placeholder:"TEMPLATE" help:"json, or a Go template over the columns' names."`
	Quiet  bool     `short:"q" help:"Only names."`
}

// volumeRow is a line of the list, with docker's names for templates.
type volumeRow struct {
	Availability string
	Driver       string
	Group        string
	Labels       string
	Links        string
	Mountpoint   string
	Name         string `head:"VOLUME NAME"`
	Scope        string
	Size         string
	Status       string
}

// Run lists the volumes by name.
func (c *volumeLsCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	want, err := newVolumeFilter(c.Filter, "dangling", "driver", "label", "name")
	if err != nil {
		return refused(err)
	}
	list, err := want.list(e)
	if err != nil {
		return refused(err)
	}
	if c.Quiet && c.Format == "" {
		for _, v := range list {
			a.println(v.Name)
		}
		return nil
	}
	var rows []volumeRow
	lines := [][]string{{"DRIVER", "VOLUME NAME"}}
	for _, v := range list {
		rows = append(rows, volumeRow{Availability: "N/A", Driver: "local", Group: "N/A", Labels: joinPairs(v.Labels), Links: "N/A",
			Mountpoint: e.Volumes().Data(v.Name), Name: v.Name, Scope: "local", Size: "N/A", Status: "N/A"})
		lines = append(lines, []string{"local", v.Name})
	}
	if c.Format != "" && c.Format != "table" {
		return format(a.Out, c.Format, rows)
	}
	return table(a.Out, lines)
}

type volumeInspectCmd struct {
	Names  []string `arg:"" predictor:"volume" help:"Names."`
	Format string   `short:"f" placeholder:"TEMPLATE" help:"json, or a Go template."`
}

// inspectedVolume is docker's description of a volume.
type inspectedVolume struct {
	CreatedAt  string
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
}

func describeVolume(e *run.Engine, v *volume.Volume) inspectedVolume {
	return inspectedVolume{CreatedAt: v.Created.Local().Format(time.RFC3339), Driver: "local", Labels: v.Labels,
		Mountpoint: e.Volumes().Data(v.Name), Name: v.Name, Scope: "local"}
}

// Run prints an array of those that there are, and fails when one is missing.
func (c *volumeInspectCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	all := []any{}
	var errs []error
	for _, name := range c.Names {
		v, err := e.Volumes().Get(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, describeVolume(e, v))
	}
	if c.Format != "" && c.Format != "json" {
		err = format(a.Out, c.Format, all)
	} else {
		var b []byte
		if b, err = json.MarshalIndent(all, "", "    "); err == nil {
			_, err = fmt.Fprintln(a.Out, string(b))
		}
	}
	return refused(joined(append(errs, err)))
}

type volumeRmCmd struct {
	Names []string `arg:"" predictor:"volume" help:"Names."`
	Force bool     `short:"f" help:"Say nothing of volumes that there are not."`
}

// Run removes each volume; one that fails does not keep the others.
func (c *volumeRmCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range c.Names {
		err := e.RemoveVolume(name)
		if err == nil || c.Force && errors.Is(err, volume.ErrNotFound) {
			a.println(name)
			continue
		}
		errs = append(errs, err)
	}
	return refused(joined(errs))
}

type volumePruneCmd struct {
	All    bool     `short:"a" help:"Remove those with a name, too."`
	Filter []string `sep:"none" placeholder:"KEY=VALUE" help:"Only those with label=KEY[=VALUE], label!=…; all=true is --all."`
	Force  bool     `short:"f" help:"Do not ask."`
}

// Run asks, and removes the volumes that no container uses.
func (c *volumePruneCmd) Run(a *app) error {
	want, err := newVolumeFilter(c.Filter, "all", "label", "label!")
	if err != nil {
		return refused(err)
	}
	all := c.All || slices.Contains(want["all"], "1") || slices.Contains(want["all"], "true")
	which := "anonymous local"
	if all {
		which = "all local"
	}
	if !c.Force && !a.sure("This will remove "+which+" volumes not used by at least one container.") {
		return nil
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	done, err := e.PruneVolumes(func(v *volume.Volume) bool { return (all || v.Anonymous()) && want.likes(v) })
	if len(done.Names) > 0 {
		a.printf("Deleted Volumes:\n%s\n\n", strings.Join(done.Names, "\n"))
	}
	a.println("Total reclaimed space:", size(done.Bytes))
	return refused(err)
}

// sure asks before something is removed.
func (a *app) sure(warning string) bool {
	a.printf("%s", "WARNING! "+warning+"\nAre you sure you want to continue? [y/N] ")
	line, _ := bufio.NewReader(a.In).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

type volumeExistsCmd struct {
	Name string `arg:"" predictor:"volume" help:"Name."`
}

// Run says it by the exit status.
func (c *volumeExistsCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	_, err = e.Volumes().Get(c.Name)
	return existence(err, volume.ErrNotFound)
}
