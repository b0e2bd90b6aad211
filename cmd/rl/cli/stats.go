package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rl/run"
	"rl/run/state"
)

type statsCmd struct {
	Names    []string `arg:"" optional:"" predictor:"container" help:"Names or ids; default is all that run."`
	All      bool     `short:"a" help:"Those that have ended, too."`
	Format   string   `placeholder:"TEMPLATE" help:"json, or a Go template over the columns' names."`
	NoStream bool     `help:"Print one table and leave."`
	NoTrunc  bool     `help:"Do not cut ids short."`
}

// statsRow is a line, with docker's names for templates.
type statsRow struct {
	Container string
	ID        string `head:"CONTAINER ID"`
	Name      string
	CPUPerc   string `head:"CPU %"`
	MemUsage  string `head:"MEM USAGE / LIMIT"`
	MemPerc   string `head:"MEM %"`
	NetIO     string `head:"NET I/O"`
	BlockIO   string `head:"BLOCK I/O"`
	PIDs      string
}

// second is between two looks: the processors' use is what came about in it.
const second = time.Second

// Run shows the table again each second, until somebody stops it.
func (c *statsCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	list, err := c.containers(e)
	if err != nil {
		return err
	}
	before := look(e, list)
	for {
		select {
		case <-time.After(second):
		case <-a.context().Done():
			return nil
		}
		if len(c.Names) == 0 { // they come and go
			if list, err = c.containers(e); err != nil {
				return err
			}
		}
		now := look(e, list)
		var rows []statsRow
		for _, rec := range list {
			rows = append(rows, c.row(rec, before[rec.ID], now[rec.ID]))
		}
		if err := c.print(a, rows); err != nil || c.NoStream || len(c.Names) > 0 && len(now) == 0 {
			return err
		}
		before = now
	}
}

// containers are those that were named, or all, the newest first.
func (c *statsCmd) containers(e *run.Engine) ([]*state.Record, error) {
	var list []*state.Record
	for _, name := range c.Names {
		rec, err := e.State.Find(name)
		if err != nil {
			return nil, err
		}
		list = append(list, rec)
	}
	if len(c.Names) > 0 {
		return list, nil
	}
	all, _, err := e.State.List()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(x, y *state.Record) int { return y.Created.Compare(x.Created) })
	for _, rec := range all {
		if c.All || e.State.Running(rec.ID) {
			list = append(list, rec)
		}
	}
	return list, nil
}

// look is what each of those that run has used.
func look(e *run.Engine, list []*state.Record) map[string]run.Stats {
	m := map[string]run.Stats{}
	for _, rec := range list {
		if u, ok := e.Stats(rec); ok {
			m[rec.ID] = u
		}
	}
	return m
}

func (c *statsCmd) row(rec *state.Record, before, now run.Stats) statsRow {
	id := rec.ID
	if !c.NoTrunc {
		id = short(id)
	}
	cpu, mem := 0.0, 0.0
	if wall := now.At.Sub(before.At); !before.At.IsZero() && !now.At.IsZero() && wall > 0 && now.CPU > before.CPU {
		cpu = 100 * float64(now.CPU-before.CPU) / float64(wall)
	}
	if now.Limit > 0 {
		mem = 100 * float64(now.Memory) / float64(now.Limit)
	}
	return statsRow{Container: rec.Name, ID: id, Name: rec.Name, CPUPerc: fmt.Sprintf("%.2f%%", cpu), MemPerc: fmt.Sprintf("%.2f%%", mem),
		MemUsage: binarySize(now.Memory) + " / " + binarySize(now.Limit), NetIO: size(int64(now.Received)) + " / " + size(int64(now.Sent)),
		BlockIO: size(int64(now.Read)) + " / " + size(int64(now.Written)), PIDs: strconv.FormatUint(now.PIDs, 10)}
}

func (c *statsCmd) print(a *app, rows []statsRow) error {
	if _, err := unix.IoctlGetTermios(int(a.Out.Fd()), unix.TCGETS); err == nil && !c.NoStream {
		fmt.Fprint(a.Out, "\x1b[H\x1b[J") // the table takes the place of the last
	}
	if c.Format != "" && c.Format != "table" {
		return format(a.Out, c.Format, rows)
	}
	lines := [][]string{{"CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"}}
	for _, r := range rows {
		lines = append(lines, []string{r.ID, r.Name, r.CPUPerc, r.MemUsage, r.MemPerc, r.NetIO, r.BlockIO, r.PIDs})
	}
	return table(a.Out, lines)
}

// binarySize is docker's for memory: four digits, powers of 1024.
func binarySize(n uint64) string {
	f, units := float64(n), "B KiB MiB GiB TiB PiB"
	for {
		unit, rest, more := strings.Cut(units, " ")
		if f < 1024 || !more {
			return fmt.Sprintf("%.4g%s", f, unit)
		}
		f, units = f/1024, rest
	}
}
