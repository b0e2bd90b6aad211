package cli

import (
	"rl/run/plan"
	"rl/run/plan/option"
)

// healthFlags are docker's, and podman's action.
type healthFlags struct {
	HealthCmd           string `name:"health-cmd" placeholder:"COMMAND" help:"Probe the container with this, by the shell; none is no probe, a list [\"test\",\"-e\",\"/ready\"] goes without a shell."`
	HealthInterval      string `name:"health-interval" placeholder:"DURATION" help:"Time between two probes (30s)."`
	HealthOnFailure     string `name:"health-on-failure" placeholder:"ACTION" help:"What to do with it when it is unhealthy: none, kill, restart or stop."`
	HealthRetries       string `name:"health-retries" placeholder:"N" help:"Probes that fail in a row until it is unhealthy (3)."`
	HealthStartInterval string `name:"health-start-interval" placeholder:"DURATION" help:"Time between two probes in the start period (5s)."`
	HealthStartPeriod   string `name:"health-start-period" placeholder:"DURATION" help:"Time to start in which failures do not count (0s)."`
	HealthTimeout       string `name:"health-timeout" placeholder:"DURATION" help:"How long a probe may take (30s)."`
	NoHealthcheck       bool   `name:"no-healthcheck" help:"Leave out the image's health check."`
}

func (c *healthFlags) health(f *plan.Flags) (err error) {
	f.Health, err = option.HealthText{Cmd: c.HealthCmd, Interval: c.HealthInterval, Timeout: c.HealthTimeout, StartPeriod: c.HealthStartPeriod,
		StartInterval: c.HealthStartInterval, Retries: c.HealthRetries, OnFailure: c.HealthOnFailure, None: c.NoHealthcheck}.Parse()
	return err
}

type healthcheckCmd struct {
	Run healthcheckRunCmd `cmd:"" help:"Probe a container now: exit status 0 when that succeeds, 1 when it fails."`
}

type healthcheckRunCmd struct {
	Container string `arg:"" predictor:"container" help:"Name or id."`
}

// Run says what the container's status is when the probe has failed, as podman does.
func (c *healthcheckRunCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	good, status, err := e.Healthcheck(c.Container)
	if err != nil || good {
		return err
	}
	a.println(status)
	return exitCode(1)
}
