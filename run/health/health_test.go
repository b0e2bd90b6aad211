package health

import (
	"reflect"
	"testing"
	"time"

	"rl/oci"
	"rl/run/plan/option"
)

func TestNote(t *testing.T) {
	type probe struct {
		after  time.Duration
		code   int
		status string
		streak int
	}
	const s = time.Second
	for name, c := range map[string]struct {
		retries int
		period  time.Duration
		probes  []probe
	}{
		"up and down": {2, 0, []probe{{s, 1, Starting, 1}, {2 * s, 0, Healthy, 0}, {3 * s, 1, Healthy, 1}, {4 * s, 137, Unhealthy, 2},
			{5 * s, -1, Unhealthy, 3}, {6 * s, 0, Healthy, 0}}},
		"never":          {1, 0, []probe{{s, 1, Unhealthy, 1}, {2 * s, 1, Unhealthy, 2}}},
		"start period":   {1, 3 * s, []probe{{s, 1, Starting, 0}, {2 * s, -1, Starting, 0}, {3 * s, 1, Unhealthy, 1}}},
		"healthy within": {1, 9 * s, []probe{{s, 0, Healthy, 0}, {2 * s, 1, Unhealthy, 1}}},
	} {
		r := Report{Status: Starting}
		check := &Check{Healthcheck: oci.Healthcheck{Retries: c.retries, StartPeriod: c.period}}
		for i, p := range c.probes {
			before := r.Status
			changed := r.Note(check, Result{ExitCode: p.code}, p.after)
			if r.Status != p.status || r.FailingStreak != p.streak || changed != (before != p.status) {
				t.Errorf("%s, probe %d: %s, %d, %t", name, i, r.Status, r.FailingStreak, changed)
			}
		}
	}
	r := Report{Status: Starting}
	for i := range 9 {
		r.Note(&Check{Healthcheck: oci.Healthcheck{Retries: 3}}, Result{ExitCode: i}, 0)
	}
	if len(r.Log) != maxLog || r.Log[maxLog-1].ExitCode != 8 {
		t.Errorf("the log is %+v", r.Log)
	}
}

func TestWait(t *testing.T) {
	c := &Check{Healthcheck: oci.Healthcheck{Interval: 30, StartInterval: 5, StartPeriod: 20}}
	for _, w := range []struct {
		status      string
		after, want time.Duration
	}{{Starting, 0, 5}, {Starting, 19, 5}, {Starting, 20, 30}, {Healthy, 0, 30}, {Unhealthy, 0, 30}} {
		r := Report{Status: w.status}
		if got := r.Wait(c, w.after); got != w.want {
			t.Errorf("%+v: %d", w, got)
		}
	}
}

func TestNew(t *testing.T) {
	image := func(test ...string) oci.Extras {
		return oci.Extras{Healthcheck: &oci.Healthcheck{Test: test, Retries: 7}}
	}
	short := image("CMD", "true")
	short.Healthcheck.Interval = 5
	shell := image("CMD-SHELL", "true")
	shell.Shell = []string{"/bin/ash", "-ec"}
	for name, c := range map[string]struct {
		image  oci.Extras
		flags  option.Health
		args   []string
		notice bool
		bad    bool
	}{
		"nothing":           {},
		"the image's":       {image: image("CMD", "true", "it"), args: []string{"true", "it"}},
		"the image's shell": {image: shell, args: []string{"/bin/ash", "-ec", "true"}},
		"own":               {image: image("CMD", "true"), flags: option.Health{Test: []string{"CMD-SHELL", "a b"}}, args: []string{"/bin/sh", "-c", "a b"}},
		"none":              {image: image("CMD", "true"), flags: option.Health{Test: []string{"NONE"}}},
		"the image's none":  {image: image("NONE")},
		"inherit":           {image: image()},
		"unknown":           {image: image("DANCE", "now"), notice: true},
		"empty":             {image: image("CMD"), notice: true},
		"empty word":        {image: image("CMD", ""), notice: true},
		"times for nothing": {flags: option.Health{Interval: time.Second}, notice: true},
		"action":            {flags: option.Health{OnFailure: "kill"}, bad: true},
		"too often":         {image: short, bad: true},
		"less often":        {image: short, flags: option.Health{Interval: time.Second}, args: []string{"true"}},
	} {
		got, notice, err := New(c.image, c.flags)
		if (err != nil) != c.bad || (notice != "") != c.notice {
			t.Errorf("%s: %v, %q", name, err, notice)
		}
		if err == nil && (got != nil) != (c.args != nil) || err == nil && got != nil && !reflect.DeepEqual(got.Args(), c.args) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got, _, _ := New(image("CMD", "true"), option.Health{})
	if got.Interval != interval || got.Timeout != timeout || got.Retries != 7 || got.StartPeriod != 0 || got.StartInterval != startInterval {
		t.Errorf("the defaults are %+v", got)
	}
}
