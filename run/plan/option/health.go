package option

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"rl/userns/sys/fault"
)

// Health is what --health-* and --no-healthcheck say. What is empty is the image's.
type Health struct {
	Test          []string      `json:",omitempty"` // in the form of an image's
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
	OnFailure     string        `json:",omitempty"` // "" does nothing
}

// What is done with a container that has become unhealthy.
const (
	HealthKill    = "kill"
	HealthRestart = "restart"
	HealthStop    = "stop"
)

// HealthText is a Health as it is written.
type HealthText struct {
	Cmd, Interval, Timeout, StartPeriod, StartInterval, Retries, OnFailure string
	None                                                                   bool
}

// Parse reads it.
func (t HealthText) Parse() (h Health, err error) {
	if t.None {
		t.None = false
		if t != (HealthText{}) {
			return h, fault.New("leave --no-healthcheck away, or the others", "--no-healthcheck conflicts with --health-* options")
		}
		h.Test = []string{"NONE"}
		return h, nil
	}
	if h.Test, err = healthTest(t.Cmd); err != nil {
		return h, err
	}
	for _, d := range []struct {
		name, text string
		into       *time.Duration
	}{
		{"--health-interval", t.Interval, &h.Interval}, {"--health-timeout", t.Timeout, &h.Timeout},
		{"--health-start-period", t.StartPeriod, &h.StartPeriod}, {"--health-start-interval", t.StartInterval, &h.StartInterval},
	} {
		if d.text == "" {
			continue
		}
		if *d.into, err = ParseDuration(d.name, d.text); err != nil {
			return h, err
		}
	}
	if t.Retries != "" {
		if h.Retries, err = strconv.Atoi(t.Retries); err != nil {
			return h, bad("--health-retries", t.Retries, "write how many probes must fail in a row", "not a number")
		}
		if h.Retries < 0 {
			return h, bad("--health-retries", t.Retries, "write how many probes must fail in a row", "it cannot be negative")
		}
	}
	switch t.OnFailure {
	case "", "none":
	case HealthKill, HealthRestart, HealthStop:
		h.OnFailure = t.OnFailure
	default:
		return h, bad("--health-on-failure", t.OnFailure, "write none, kill, restart or stop", "no such action")
	}
	return h, nil
}

// healthTest reads --health-cmd: a line for the shell, as docker has it; podman's none, and
// a JSON list of words that no shell sees.
func healthTest(s string) ([]string, error) {
	switch {
	case s == "":
		return nil, nil
	case s == "none":
		return []string{"NONE"}, nil
	case !strings.HasPrefix(s, `["`):
		return []string{"CMD-SHELL", s}, nil
	}
	var words []string
	if err := json.Unmarshal([]byte(s), &words); err != nil {
		return nil, bad("--health-cmd", s, `write a line for the shell, or a list such as ["test","-e","/ready"]`, "not a list of words")
	}
	switch words[0] {
	case "NONE":
		return words[:1], nil
	case "CMD", "CMD-SHELL":
		if len(words) == 1 {
			return nil, bad("--health-cmd", s, "name a program", "there is nothing to run")
		}
		return words, nil
	}
	return append([]string{"CMD"}, words...), nil
}
