package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"rl/run"
)

type systemCmd struct {
	Df    systemDfCmd    `cmd:"" help:"Show what takes disk space."`
	Prune systemPruneCmd `cmd:"" help:"Remove containers, networks and images that are not in use."`
}

type systemDfCmd struct {
	Format  string `placeholder:"TEMPLATE" help:"json, or a Go template over the columns' names."`
	Verbose bool   `short:"v" help:"Show each image, container and volume."`
}

// dfRow is a line of the summary, with docker's names for templates.
type dfRow struct {
	Type        string
	TotalCount  string `head:"TOTAL"`
	Active      string
	Size        string
	Reclaimable string
}

// Run measures the store. What several images share is counted once.
func (c *systemDfCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	u, err := e.Usage()
	if err != nil {
		return refused(err)
	}
	if c.Verbose {
		return c.each(a, u)
	}
	rows := summary(u)
	if c.Format != "" && c.Format != "table" {
		return format(a.Out, c.Format, rows)
	}
	lines := [][]string{{"TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"}}
	for _, r := range rows {
		lines = append(lines, []string{r.Type, r.TotalCount, r.Active, r.Size, r.Reclaimable})
	}
	return table(a.Out, lines)
}

// tally adds up one line of the summary.
type tally struct {
	total, active int
	size, free    int64
}

func (t *tally) add(n int64, active bool) {
	t.total++
	t.size += n
	if active {
		t.active++
	} else {
		t.free += n
	}
}

func (t *tally) row(kind string) dfRow {
	free := size(t.free)
	if t.size > 0 {
		free += fmt.Sprintf(" (%d%%)", t.free*100/t.size)
	}
	return dfRow{Type: kind, TotalCount: strconv.Itoa(t.total), Active: strconv.Itoa(t.active), Size: size(t.size), Reclaimable: free}
}

func summary(u *run.Usage) []dfRow {
	images, containers, volumes := tally{size: u.Shared}, tally{}, tally{}
	for _, i := range u.Images {
		images.add(i.Unique, i.Containers > 0)
	}
	if images.active == 0 { // what they share goes with the last
		images.free = images.size
	}
	for _, c := range u.Containers {
		containers.add(c.Size, c.Status.Running)
	}
	for _, v := range u.Volumes {
		volumes.add(v.Size, v.Links > 0)
	}
	return []dfRow{images.row("Images"), containers.row("Containers"), volumes.row("Local Volumes"), (&tally{}).row("Build Cache")}
}

// dfImage, dfContainer and dfVolume are the lines of docker's system df -v.
type dfImage struct {
	Repository, Tag, ID, CreatedSince, Size string
	SharedSize                              string `head:"SHARED SIZE"`
	UniqueSize                              string `head:"UNIQUE SIZE"`
	Containers                              string
}

type dfContainer struct {
	ID, Image, Command   string
	LocalVolumes         string `head:"LOCAL VOLUMES"`
	Size, RunningFor     string
	Status, State, Names string
}

type dfVolume struct{ Name, Links, Size string }

// each shows everything, as tables or as one object.
func (c *systemDfCmd) each(a *app, u *run.Usage) error {
	all := struct {
		Images     []dfImage
		Containers []dfContainer
		Volumes    []dfVolume
		BuildCache []struct{}
	}{[]dfImage{}, []dfContainer{}, []dfVolume{}, []struct{}{}}
	images := [][]string{{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "CONTAINERS"}}
	for _, i := range u.Images {
		row := (&imagesCmd{}).row(i.Image)
		r := dfImage{row.Repository, row.Tag, row.ID, row.CreatedSince, size(i.Shared + i.Unique), size(i.Shared), size(i.Unique), strconv.Itoa(i.Containers)}
		all.Images = append(all.Images, r)
		images = append(images, []string{r.Repository, r.Tag, r.ID, r.CreatedSince, r.Size, r.SharedSize, r.UniqueSize, r.Containers})
	}
	containers := [][]string{{"CONTAINER ID", "IMAGE", "COMMAND", "LOCAL VOLUMES", "SIZE", "CREATED", "STATUS", "NAMES"}}
	for _, x := range u.Containers {
		row := (&psCmd{}).row(x.Record, x.Status, nil)
		r := dfContainer{row.ID, row.Image, row.Command, row.LocalVolumes, size(x.Size), row.RunningFor, row.Status, row.State, row.Names}
		all.Containers = append(all.Containers, r)
		containers = append(containers, []string{r.ID, r.Image, r.Command, r.LocalVolumes, r.Size, r.RunningFor, r.Status, r.Names})
	}
	volumes := [][]string{{"VOLUME NAME", "LINKS", "SIZE"}}
	for _, v := range u.Volumes {
		r := dfVolume{v.Name, strconv.Itoa(v.Links), size(v.Size)}
		all.Volumes = append(all.Volumes, r)
		volumes = append(volumes, []string{r.Name, r.Links, r.Size})
	}
	switch {
	case c.Format == "json":
		return json.NewEncoder(a.Out).Encode(all)
	case c.Format != "" && c.Format != "table":
		return format(a.Out, strings.TrimPrefix(c.Format, "table "), []any{all})
	}
	for _, t := range []struct {
		title string
		lines [][]string
	}{{"Images space usage:", images}, {"Containers space usage:", containers}, {"Local Volumes space usage:", volumes}} {
		fmt.Fprintf(a.Out, "%s\n\n", t.title)
		if err := table(a.Out, t.lines); err != nil {
			return err
		}
		fmt.Fprintln(a.Out)
	}
	_, err := fmt.Fprint(a.Out, "Build cache usage: 0B\n\n")
	return err
}
