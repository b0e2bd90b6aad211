package cli

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"rl/oci"
	"rl/oci/ref"
)

type imagesCmd struct {
	Name    string `arg:"" optional:"" predictor:"image" help:"Only images of this name, or of this name and tag."`
	All     bool   `short:"a" help:"Accepted for docker's sake: there are no hidden images."`
	Digests bool   `help:"Show digests."`
	Format  string `placeholder:"TEMPLATE" help:"json, or a Go template over the columns' names."`
	NoTrunc bool   `help:"Show whole ids."`
	Quiet   bool   `short:"q" help:"Only ids."`
}

// imageRow is a line of the list, with docker's names for templates.
type imageRow struct {
	Repository   string
	Tag          string
	Digest       string
	ID           string
	CreatedSince string
	CreatedAt    string
	Size         string
}

// Run lists the images, the newest first.
func (c *imagesCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	all, err := e.Store.Images()
	if err != nil {
		return err
	}
	slices.SortStableFunc(all, func(x, y *oci.Image) int {
		if d := created(y).Compare(created(x)); d != 0 {
			return d
		}
		return strings.Compare(x.Name, y.Name)
	})
	var rows []imageRow
	for _, img := range all {
		row := c.row(img)
		if c.Name == "" || c.Name == row.Repository || c.Name == row.Repository+":"+row.Tag {
			rows = append(rows, row)
		}
	}
	if c.Quiet {
		seen := map[string]bool{}
		for _, r := range rows {
			if !seen[r.ID] {
				a.println(r.ID)
			}
			seen[r.ID] = true
		}
		return nil
	}
	if c.Format != "" && c.Format != "table" {
		return format(a.Out, c.Format, rows)
	}
	head := []string{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}
	if c.Digests {
		head = slices.Insert(head, 2, "DIGEST")
	}
	lines := [][]string{head}
	for _, r := range rows {
		line := []string{r.Repository, r.Tag, r.ID, r.CreatedSince, r.Size}
		if c.Digests {
			line = slices.Insert(line, 2, r.Digest)
		}
		lines = append(lines, line)
	}
	return table(a.Out, lines)
}

func (c *imagesCmd) row(img *oci.Image) imageRow {
	row := imageRow{Repository: "<none>", Tag: "<none>", Digest: img.Descriptor.Digest.String(), ID: img.ID.String(),
		CreatedSince: since(created(img)), CreatedAt: created(img).Format("2006-01-02 15:04:05 -0700 MST"), Size: size(img.Size())}
	if r, err := ref.Parse(img.Name); err == nil && r.Transport == oci.TransportRegistry {
		tag := r.Tag
		r.Tag, r.Digest = "", ""
		row.Repository = strings.TrimSuffix(r.Familiar(), ":latest")
		if tag != "" {
			row.Tag = tag
		}
	} else if img.Name != "" {
		row.Repository = img.Name
	}
	if !c.NoTrunc {
		row.ID = short(img.ID.Encoded())
	}
	return row
}

func created(img *oci.Image) time.Time {
	if img.Config.Created == nil {
		return time.Time{}
	}
	return *img.Config.Created
}

func short(hex string) string { return hex[:min(12, len(hex))] }

// size is docker's way to write bytes: three digits, powers of 1000.
func size(n int64) string {
	f, units := float64(n), "B kB MB GB TB PB"
	list := strings.Fields(units)
	i := 0
	for f >= 1000 && i < len(list)-1 {
		f, i = f/1000, i+1
	}
	return strconv.FormatFloat(f, 'g', 3, 64) + list[i]
}
