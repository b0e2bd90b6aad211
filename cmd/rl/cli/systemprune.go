package cli

import (
	"strings"
	"time"

	"rl/run"
	"rl/run/network"
	"rl/run/state"
	"rl/run/volume"
	"rl/userns/sys/fault"
)

type systemPruneCmd struct {
	All     bool     `short:"a" help:"Remove all images that no container was made of, not only those without a name."`
	Filter  []string `sep:"none" placeholder:"KEY=VALUE" help:"Only what was made until=TIME, or has label=KEY[=VALUE], label!=…"`
	Force   bool     `short:"f" help:"Do not ask."`
	Volumes bool     `help:"Remove anonymous volumes, too."`
}

// pruneFilter tells what is old enough and has the labels that were asked for.
type pruneFilter struct {
	until  time.Time // zero: any age
	labels volumeFilter
}

func newPruneFilter(filters []string) (f pruneFilter, err error) {
	if f.labels, err = newVolumeFilter(filters, "until", "label", "label!"); err != nil {
		return f, err
	}
	for _, text := range f.labels["until"] {
		t, err := moment(text, time.Now())
		if err != nil {
			return f, err
		}
		if f.until.IsZero() || t.Before(f.until) {
			f.until = t
		}
	}
	return f, nil
}

func (f pruneFilter) likes(created time.Time, labels map[string]string) bool {
	return (f.until.IsZero() || created.Before(f.until)) && f.labels.likes(&volume.Volume{Labels: labels})
}

// Run asks, and removes what is not in use, in docker's order.
func (c *systemPruneCmd) Run(a *app) error {
	want, err := newPruneFilter(c.Filter)
	if err != nil {
		return refused(err)
	}
	if c.Volumes && !want.until.IsZero() {
		return refused(fault.New("leave one of them away", `the filter "until" is not supported with --volumes: volumes are as old as their last use`))
	}
	if !c.Force && !a.sure("This will remove:\n"+c.list()) {
		return nil
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	errs := []error{nil, nil, nil, nil}
	var total int64
	ids, n, err := e.PruneContainers(func(rec *state.Record, _ state.Status) bool { return want.likes(rec.Created, rec.Labels) }, len(c.Filter) == 0)
	errs[0], total = err, total+n
	deleted(a, "Containers", ids)
	names, err := e.PruneNetworks(func(n *network.Network) bool { return want.likes(n.Created, n.Labels) })
	errs[1] = err
	deleted(a, "Networks", names)
	if c.Volumes {
		var r run.RemovedVolumes
		r, errs[2] = e.PruneVolumes(func(v *volume.Volume) bool { return v.Anonymous() && want.likes(v.Created, v.Labels) })
		total += r.Bytes
		deleted(a, "Volumes", r.Names)
	}
	n, errs[3] = pruneImages(a, e, want, c.All)
	total += n
	a.println("Total reclaimed space:", size(total))
	return refused(joined(errs))
}

// list is what will be removed, in docker's words.
func (c *systemPruneCmd) list() string {
	lines := []string{"all stopped containers", "all networks not used by at least one container"}
	if c.Volumes {
		lines = append(lines, "all anonymous volumes not used by at least one container")
	}
	if c.All {
		lines = append(lines, "all images without at least one container associated to them")
	} else {
		lines = append(lines, "all dangling images")
	}
	return "  - " + strings.Join(lines, "\n  - ") + "\n"
}

// deleted prints what was removed of one kind.
func deleted(a *app, kind string, names []string) {
	if len(names) > 0 {
		a.printf("Deleted %s:\n%s\n\n", kind, strings.Join(names, "\n"))
	}
}
