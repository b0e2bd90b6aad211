// Package health decides whether a container is healthy: docker's rules, without a clock
// and without a process. The monitor runs the probes (run/monitor/health.go).
//
//	starting ── a probe succeeds ──▶ healthy ◀──── one succeeds ──── unhealthy
//	    │                               └── Retries fail in a row ──────▶ ▲
//	    └── Retries fail in a row, those of the start period not counted ───┘
package health

import (
	"time"

	"rl/oci"
	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

// Check is how a container is probed, with every default filled in.
type Check struct {
	oci.Healthcheck
	OnFailure string   `json:",omitempty"`
	Shell     []string `json:",omitempty"`
}

// docker's defaults, and the shortest time it takes.
const (
	interval      = 30 * time.Second
	timeout       = 30 * time.Second
	startInterval = 5 * time.Second
	retries       = 3
	shortest      = time.Millisecond
)

// New is what the command line says over what the image says; nil is no check. What makes no
// sense of the image's is left out with a notice: docker runs such a container, too.
func New(image oci.Extras, f option.Health) (check *Check, notice string, err error) {
	c := &Check{OnFailure: f.OnFailure, Shell: image.Shell}
	own := f.Interval != 0 || f.Timeout != 0 || f.StartPeriod != 0 || f.StartInterval != 0 || f.Retries != 0
	if image.Healthcheck != nil {
		c.Healthcheck = *image.Healthcheck
	}
	if len(f.Test) > 0 {
		c.Test = f.Test
	}
	over(&c.Interval, f.Interval, interval)
	over(&c.Timeout, f.Timeout, timeout)
	over(&c.StartPeriod, f.StartPeriod, 0)
	over(&c.StartInterval, f.StartInterval, startInterval)
	over(&c.Retries, f.Retries, retries)
	switch {
	case len(c.Test) == 0 || c.Test[0] == oci.TestNone:
	case c.Test[0] != oci.TestCmd && c.Test[0] != oci.TestShell || len(c.Test) == 1 || c.Test[1] == "":
		notice = "the image's health check is left out: it is none that can be run"
	default:
		return c, "", c.valid()
	}
	switch {
	case f.OnFailure != "":
		return nil, "", fault.New("add --health-cmd", "cannot set on-failure action to %s without a health check", f.OnFailure)
	case notice == "" && own && len(f.Test) == 0:
		notice = "there is no health check to set times for: neither the image nor --health-cmd names one"
	}
	return nil, notice, nil
}

// over takes the first that says something.
func over[T int | time.Duration](image *T, own, otherwise T) {
	if own != 0 {
		*image = own
	}
	if *image == 0 {
		*image = otherwise
	}
}

// valid is docker's idea of that.
func (c *Check) valid() error {
	for _, d := range []struct {
		name string
		d    time.Duration
		none bool // 0 is allowed
	}{{"Interval", c.Interval, false}, {"Timeout", c.Timeout, false}, {"StartPeriod", c.StartPeriod, true}, {"StartInterval", c.StartInterval, false}} {
		if d.d < shortest && (d.d != 0 || !d.none) {
			return fault.New("set it on the command line, or use --no-healthcheck", "%s in Healthcheck cannot be less than %v", d.name, shortest)
		}
	}
	if c.Retries < 0 {
		return fault.New("use --health-retries, or --no-healthcheck", "Retries in Healthcheck cannot be negative")
	}
	return nil
}

// Args is the program that a probe runs.
func (c *Check) Args() []string {
	if c.Test[0] == oci.TestCmd {
		return c.Test[1:]
	}
	shell := c.Shell
	if len(shell) == 0 {
		shell = []string{"/bin/sh", "-c"}
	}
	return append(append([]string{}, shell...), c.Test[1:]...)
}
