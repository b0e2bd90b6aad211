package cli

import (
	"fmt"

	"rl/run"
)

type topCmd struct {
	Container string `arg:"" predictor:"container" help:"Name or id."`
}

// Run prints ps's columns, with the numbers that the caller sees.
func (c *topCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	list, err := e.Processes(c.Container)
	if err != nil {
		return err
	}
	lines := [][]string{{"UID", "PID", "PPID", "TIME", "CMD"}}
	for _, p := range list {
		lines = append(lines, []string{fmt.Sprint(p.UID), fmt.Sprint(p.PID), fmt.Sprint(p.Parent), cpuTime(p), p.Command})
	}
	return table(a.Out, lines)
}

func cpuTime(p run.Process) string {
	s := int(p.CPU.Seconds())
	return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
}
