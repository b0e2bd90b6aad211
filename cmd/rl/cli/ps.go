package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"rl/run/health"
	"rl/run/state"
)

type psCmd struct {
	All     bool     `short:"a" help:"Show those that have ended, too."`
	Filter  []string `short:"f" sep:"none" placeholder:"KEY=VALUE" help:"Only those with this ancestor, exited, expose, health, id, label, name, network, publish, status or volume, or created before or since another."`
	Format  string   `placeholder:"TEMPLATE" help:"json, or a Go template over the columns' names."`
	Last    int      `short:"n" default:"-1" placeholder:"N" help:"Only the N that were created last, ended ones included."`
	Latest  bool     `short:"l" help:"Only the one that was created last."`
	NoTrunc bool     `help:"Do not cut ids and commands short."`
	Quiet   bool     `short:"q" help:"Only ids."`
	Size    bool     `short:"s" help:"Show how much each has written, and its size with the image."`
}

// psRow is a line of the list, with docker's names for templates.
type psRow struct {
	ID           string `head:"CONTAINER ID"`
	Image        string
	Command      string
	CreatedAt    string `head:"CREATED AT"`
	RunningFor   string `head:"CREATED"`
	State        string
	Status       string
	Ports        string
	Names        string
	Labels       string
	Networks     string
	Mounts       string
	LocalVolumes string `head:"LOCAL VOLUMES"`
	Size         string
	Platform     string
	HealthStatus string `head:"HEALTH STATUS"`

	labels map[string]string
}

// Label is one of the labels, for templates.
func (r psRow) Label(name string) string { return r.labels[name] }

// Run lists the containers, the newest first.
func (c *psCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	want, err := newPsFilter(e, c.Filter)
	if err != nil {
		return err
	}
	list, broken, err := e.State.List()
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(x, y *state.Record) int { return y.Created.Compare(x.Created) })
	last := c.Last
	if c.Latest {
		last = 1
	}
	all := c.All || last > 0 || want.ended
	if last > 0 && len(c.Filter) == 0 {
		list = list[:min(last, len(list))]
	}
	statuses, err := e.Statuses(list)
	if err != nil {
		a.notice(err.Error())
	}
	var live map[string][]string // who is in which network now, which few ask
	if c.Format == "json" || strings.Contains(c.Format, ".Networks") {
		live = e.LiveNetworks()
	}
	var rows []psRow
	var shown []*state.Record
	for i, rec := range list {
		if last > 0 && len(rows) == last {
			break
		}
		s := statuses[i]
		if (all || s.Running) && want.likes(rec, s) {
			rows, shown = append(rows, c.row(rec, s, live)), append(shown, rec)
		}
	}
	if c.Size || strings.Contains(c.Format, ".Size") {
		sizes := e.ContainerSizes(shown)
		for i, rec := range shown {
			rows[i].Size = fmt.Sprintf("%s (virtual %s)", size(sizes[rec.ID].Size), size(sizes[rec.ID].Virtual))
		}
	}
	for _, id := range broken {
		if (all || e.State.Running(id)) && last <= 0 && len(c.Filter) == 0 {
			rows = append(rows, psRow{ID: c.cut(id), Names: e.State.NameOf(id), Status: "Damaged", State: "dead"})
		}
	}
	return c.print(a, rows)
}

func (c *psCmd) cut(id string) string {
	if c.NoTrunc {
		return id
	}
	return short(id)
}

func (c *psCmd) row(rec *state.Record, s state.Status, live map[string][]string) psRow {
	command := strings.Join(rec.Command, " ")
	if r := []rune(command); !c.NoTrunc && len(r) > 20 {
		command = string(r[:19]) + "…"
	}
	row := psRow{ID: c.cut(rec.ID), Image: rec.Image, Command: strconv.Quote(command), CreatedAt: rec.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		RunningFor: since(rec.Created), State: stateOf(s), Names: rec.Name, Labels: joinPairs(rec.Labels), Networks: strings.Join(networksOf(rec, s, live), ","),
		Mounts: c.mounts(rec), LocalVolumes: strconv.Itoa(localVolumes(rec)),
		Size: "0B", Platform: "linux/" + runtime.GOARCH, labels: rec.Labels}
	if s.Health != nil {
		row.HealthStatus = s.Health.Status
	}
	switch {
	case rec.Fresh:
		row.State, row.Status = "created", "Created"
	case s.Again:
		row.Status = fmt.Sprintf("Restarting (%d) %s", s.Exit, since(s.Finished))
	case s.Running:
		row.Status = "Up " + strings.TrimSuffix(since(s.Started), " ago")
		switch {
		case s.Paused:
			row.Status += " (Paused)"
		case s.Health != nil && s.Health.Status == health.Starting:
			row.Status += " (health: starting)"
		case s.Health != nil:
			row.Status += " (" + s.Health.Status + ")"
		}
		row.Ports = portColumn(shownPorts(rec))
	default:
		row.Status = fmt.Sprintf("Exited (%d) %s", s.Exit, since(s.Finished))
	}
	return row
}

// mounts is docker's column of volumes' names and binds' sources.
func (c *psCmd) mounts(rec *state.Record) string {
	var list []string
	for _, m := range rec.Mounts {
		name := cmp.Or(m.Name, m.Source)
		if r := []rune(name); !c.NoTrunc && len(r) > 15 {
			name = string(r[:14]) + "…"
		}
		list = append(list, name)
	}
	return strings.Join(list, ",")
}

func localVolumes(rec *state.Record) (n int) {
	for _, m := range rec.Mounts {
		if m.Name != "" {
			n++
		}
	}
	return n
}

func stateOf(s state.Status) string {
	if s.Again {
		return "restarting"
	}
	if s.Paused {
		return "paused"
	}
	if s.Running {
		return "running"
	}
	return "exited"
}

func (c *psCmd) print(a *app, rows []psRow) error {
	if c.Quiet && c.Format == "" {
		for _, r := range rows {
			a.println(r.ID)
		}
		return nil
	}
	if c.Format != "" && c.Format != "table" {
		return format(a.Out, c.Format, rows)
	}
	lines := [][]string{{"CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"}}
	for _, r := range rows {
		lines = append(lines, []string{r.ID, r.Image, r.Command, r.RunningFor, r.Status, r.Ports, r.Names})
	}
	if c.Size {
		lines[0] = append(lines[0], "SIZE")
		for i, r := range rows {
			lines[i+1] = append(lines[i+1], r.Size)
		}
	}
	return table(a.Out, lines)
}
