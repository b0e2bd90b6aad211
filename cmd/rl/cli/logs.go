package cli

import (
	"bufio"
	"net/url"
	"strconv"
	"strings"

	"rl/run/logs"
	"rl/userns/sys/fault"
)

type logsCmd struct {
	Container  string `arg:"" predictor:"container" help:"Name or id."`
	Details    bool   `help:"Show the labels and variables that go with each line (--log-opt)."`
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
	p := &logPrinter{out: bufio.NewWriterSize(a.Out, 64<<10), errs: bufio.NewWriterSize(a.Err, 4<<10), cmd: c, middle: map[string]bool{}}
	err = e.Logs(a.context(), c.Container, w, c.Follow, p.print)
	for _, to := range []*bufio.Writer{p.out, p.errs} {
		if e := to.Flush(); err == nil {
			err = e
		}
	}
	return err
}

// logPrinter writes each stream to its own.
type logPrinter struct {
	out, errs *bufio.Writer
	cmd       *logsCmd
	middle    map[string]bool // of a line, by stream
}

func (p *logPrinter) print(l *logs.Entry) error {
	to := p.out
	if l.Stream == "stderr" {
		to = p.errs
	}
	if (p.cmd.Timestamps || p.cmd.Details) && !p.middle[l.Stream] {
		if p.cmd.Timestamps {
			to.WriteString(l.Time.Format("2006-01-02T15:04:05.000000000Z07:00") + " ")
		}
		if p.cmd.Details {
			to.WriteString(details(l.Attrs) + " ")
		}
	}
	p.middle[l.Stream] = len(l.Text) > 0 && l.Text[len(l.Text)-1] != '\n'
	_, err := to.Write(l.Text)
	if err == nil && p.cmd.Follow {
		err = to.Flush()
	}
	return err
}

// details are what goes with a line, as docker writes it.
func details(attrs []logs.Attr) string {
	var list []string
	for _, a := range attrs {
		list = append(list, url.QueryEscape(a.Key)+"="+url.QueryEscape(a.Value))
	}
	return strings.Join(list, ",")
}
