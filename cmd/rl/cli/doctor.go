package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"rl/run"
	"rl/run/plan"
	"rl/run/plan/option"
	"rl/userns/probe"
)

type doctorCmd struct {
	Format string `short:"f" placeholder:"FORMAT" help:"json."`
}

// diagnosis is the doctor's report, and whether a container could be run.
type diagnosis struct {
	probe.Report
	Runs  bool   `json:"runs"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"-"`
}

// Run examines the machine and runs a container. The exit status says whether
// that worked.
func (c *doctorCmd) Run(a *app) error {
	facts := probe.Quick()
	d := diagnosis{Report: probe.Doctor(facts, probe.Pins{Identity: a.Userns, Rootfs: a.Driver, Cgroups: a.Cgroups})}
	if err := c.try(a); err != nil {
		d.Error = err.Error()
	} else {
		d.Runs = true
	}
	var err error
	if c.Format == "json" {
		enc := json.NewEncoder(a.Out)
		enc.SetIndent("", "  ")
		err = enc.Encode(d)
	} else {
		err = d.print(a)
	}
	if err == nil && !d.Runs {
		return exitCode(1)
	}
	return err
}

// try runs the built-in image and looks at its output.
func (c *doctorCmd) try(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	img, err := e.Hello(a.context(), run.HelloName)
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	out := make(chan []byte)
	go func() {
		var b bytes.Buffer
		b.ReadFrom(r)
		out <- b.Bytes()
	}()
	code, err := e.Run(a.context(), &run.Container{Image: img, Name: run.HelloName, Stdio: [3]*os.File{nil, w, w},
		Flags: plan.Flags{Remove: true, Cgroups: a.Cgroups, Network: option.Networks{Mode: option.Mode{Name: option.None}}}})
	w.Close()
	text := <-out
	switch {
	case err != nil:
		return err
	case code != 0:
		return fmt.Errorf("the test container ended with status %d: %s", code, bytes.TrimSpace(text))
	case !bytes.HasPrefix(text, []byte("Hello")):
		return fmt.Errorf("the test container said %q", text)
	}
	return nil
}

func (d *diagnosis) print(a *app) error {
	w := tabwriter.NewWriter(a.Out, 0, 1, 2, ' ', 0)
	for _, c := range d.Checks {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Status, c.Name, c.Fact)
		if c.Status == probe.StatusMissed || c.Status == probe.StatusFailed {
			explain(w, c.Reason, c.Remedy)
		}
	}
	fmt.Fprintln(w, "\nWhat rl does here")
	for _, c := range d.Choices {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.Ladder, c.Rung, strings.TrimSpace(c.Path+" "+c.Reason))
		for _, m := range c.Missed {
			explain(w, "not "+string(m.Rung)+": "+m.Reason, m.Remedy)
		}
	}
	if d.Runs {
		fmt.Fprintln(w, "\nA container was run: all is well.")
	} else {
		fmt.Fprintf(w, "\nNo container can be run here: %s\n", d.Error)
	}
	return w.Flush()
}

func explain(w *tabwriter.Writer, reason, remedy string) {
	if reason != "" {
		fmt.Fprintf(w, "\t\t  why: %s\n", strings.ReplaceAll(reason, "\n", "\n\t\t    "))
	}
	if remedy != "" {
		fmt.Fprintf(w, "\t\t  remedy: %s\n", strings.ReplaceAll(remedy, "\n", "\n\t\t    "))
	}
}
