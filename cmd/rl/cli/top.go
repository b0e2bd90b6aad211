package cli

import (
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"rl/run"
)

type topCmd struct {
	Container string   `arg:"" predictor:"container" help:"Name or id."`
	Options   []string `arg:"" optional:"" passthrough:"" help:"Options of the host's ps, as aux or -o pid,comm; or only its columns: pid user comm."`
}

// Help is what stands below the flags.
func (topCmd) Help() string {
	return `Numbers and names of users are the host's. Without options the columns are those of ps -ef, and no ps is needed.`
}

// Run prints ps's columns, with the numbers that the caller sees.
func (c *topCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	for len(c.Options) > 0 && c.Options[0] == "--" {
		c.Options = c.Options[1:]
	}
	if len(c.Options) > 0 {
		lines, err := e.Top(c.Container, psOptions(c.Options))
		if err != nil {
			return err
		}
		for _, l := range lines { // commands are other people's
			for i := range l {
				l[i] = visible(l[i])
			}
		}
		return table(a.Out, lines)
	}
	list, err := e.Processes(c.Container)
	if err != nil {
		return err
	}
	now := time.Now()
	names := map[uint32]string{}
	lines := [][]string{{"UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"}}
	for _, p := range list {
		name, known := names[p.UID]
		if !known {
			name = strconv.Itoa(int(p.UID))
			if u, err := user.LookupId(name); err == nil {
				name = u.Username
			}
			names[p.UID] = name
		}
		lines = append(lines, []string{name, fmt.Sprint(p.PID), fmt.Sprint(p.Parent), fmt.Sprint(share(p, now)), startTime(p.Started, now), p.Terminal, cpuTime(p), visible(p.Command)})
	}
	return table(a.Out, lines)
}

// psArgs keeps ps's options from being read as ours: the first would be, letter by letter.
func psArgs(args []string) []string {
	if args[0] == "top" && len(args) > 2 && !strings.HasPrefix(args[1], "-") && args[2] != "--help" {
		return slices.Insert(slices.Clone(args), 2, "--")
	}
	return args
}

// psOptions makes podman's list of columns what ps reads.
func psOptions(words []string) []string {
	columns := []string{"pid", "ppid", "pgid", "user", "uid", "group", "gid", "comm", "args", "etime", "time", "tty", "pcpu", "pmem", "vsz", "rss", "nice", "stat", "state"}
	var list []string
	for _, w := range words {
		if !slices.Contains(columns, w) {
			return words
		}
		list = append(list, "-o", w)
	}
	return list
}

// share is the part of a processor that it has had, in percent.
func share(p run.Process, now time.Time) int {
	age := now.Sub(p.Started)
	if age <= 0 {
		return 0
	}
	return int(100 * p.CPU / age)
}

// startTime is as short as ps -ef has it.
func startTime(t, now time.Time) string {
	switch t = t.Local(); {
	case now.Sub(t) < 24*time.Hour:
		return t.Format("15:04")
	case t.Year() == now.Local().Year():
		return t.Format("Jan02")
	}
	return t.Format("2006")
}

func cpuTime(p run.Process) string {
	s := int(p.CPU.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}
