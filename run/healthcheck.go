package run

import (
	"rl/oci"
	"rl/run/health"
	"rl/run/monitor"
	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

// Healthcheck probes a running container now. It tells whether the probe succeeded, and the
// status that the container has then.
func (e *Engine) Healthcheck(text string) (good bool, status string, err error) {
	rec, err := e.State.Find(text)
	if err != nil {
		return false, "", err
	}
	if rec.Health == nil {
		return false, "", fault.New("give it one: --health-cmd", "container %s has no defined healthcheck", rec.Name)
	}
	if !e.State.Running(rec.ID) {
		return false, "", notRunning(rec)
	}
	answer, err := monitor.Ask(rec.Control, []byte{monitor.AskHealth})
	if err != nil {
		if !e.State.Running(rec.ID) {
			err = notRunning(rec)
		}
		return false, "", err
	}
	if len(answer) == 0 {
		return false, "", fault.New("", "the monitor's answer was cut")
	}
	return answer[0] == 'y', string(answer[1:]), nil
}

// checkHealth decides how the container will be probed.
func (p *preparation) checkHealth() (err error) {
	var image oci.Extras
	if p.Image != nil {
		image = p.Image.Extras
	}
	var notice string
	if p.rec.Health, notice, err = health.New(image, p.Flags.Health); notice != "" {
		p.Notice(notice)
	}
	return err
}

// comesAgain tells whether its monitor may start the workload more than once.
func comesAgain(c *Container) bool {
	return c.Flags.Restart.Any() || c.Flags.Health.OnFailure == option.HealthRestart
}
