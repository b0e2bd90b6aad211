package cli

import (
	"bufio"
	"strconv"
	"time"

	"rl/run/logs"
	"rl/userns/sys/fault"
)

type logsCmd struct {
	Container  string `arg:"" predictor:"container" help:"Name or id."`
	Follow     bool   `short:"f" help:"Go on until the container ends."`
	Since      string `placeholder:"TIME" help:"Only what came after: RFC 3339, unix seconds, or how long ago (10m)."`
	Tail       string `short:"n" default:"all" placeholder:"N" help:"Only the last N lines."`
	Timestamps bool   `short:"t" help:"Show when each line came."`
	Until      string `placeholder:"TIME" help:"Only what came before."`
}

// Run writes the workload's standard output to ours, and its errors to ours.
func (c *logsCmd) Run(a *app) error {
	w := logs.Want{All: c.Tail == "all"}
	if !w.All {
		n, err := strconv.Atoi(c.Tail)
		if err != nil {
			return fault.New("write a number of lines, or all", "bad --tail %q", c.Tail)
		}
		w.Tail, w.All = n, n < 0
	}
	var err error
	if w.Since, err = timeFlag("--since", c.Since); err != nil {
		return err
	}
	if w.Until, err = timeFlag("--until", c.Until); err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	out, errs := bufio.NewWriterSize(a.Out, 64<<10), bufio.NewWriterSize(a.Err, 4<<10)
	each := func(l logs.Entry) error {
		to := out
		if l.Stream == "stderr" {
			to = errs
		}
		if c.Timestamps {
			to.WriteString(l.Time.Format("2006-01-02T15:04:05.000000000Z07:00") + " ")
		}
		_, err := to.Write(l.Text)
		if err == nil && c.Follow {
			err = to.Flush()
		}
		return err
	}
	err = e.Logs(a.ctx, c.Container, w, c.Follow, each)
	for _, to := range []*bufio.Writer{out, errs} {
		if e := to.Flush(); err == nil {
			err = e
		}
	}
	return err
}

// pointInTime reads docker's ways to name one.
func pointInTime(s string) (time.Time, bool) {
	if d, err := time.ParseDuration(s); err == nil {
		return time.Now().Add(-d), true
	}
	if sec, err := strconv.ParseFloat(s, 64); err == nil {
		return time.Unix(0, int64(sec*1e9)), true
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
