package health

import "time"

// What a container is.
const (
	None      = "none" // it has no check
	Starting  = "starting"
	Healthy   = "healthy"
	Unhealthy = "unhealthy"
)

// MaxOutput is how many bytes of a probe's output are kept.
const MaxOutput = 4096

// maxLog is how many results are kept.
const maxLog = 5

// Result is one probe's.
type Result struct {
	Start, End time.Time
	ExitCode   int // -1: it took too long, or could not be run
	Output     string
}

// Report is what the monitor writes, and docker's State.Health.
type Report struct {
	Status        string
	FailingStreak int
	Log           []Result
}

// Note takes a result into account, of a probe that began so long after the workload. It
// tells whether the status has changed.
func (r *Report) Note(c *Check, res Result, after time.Duration) (changed bool) {
	before := r.Status
	r.Log = append(r.Log, res)
	r.Log = r.Log[max(0, len(r.Log)-maxLog):]
	switch {
	case res.ExitCode == 0:
		r.Status, r.FailingStreak = Healthy, 0
	case r.Status == Starting && after < c.StartPeriod:
	default:
		if r.FailingStreak++; r.FailingStreak >= c.Retries {
			r.Status = Unhealthy
		}
	}
	return r.Status != before
}

// Wait is how long it is to the next probe.
func (r *Report) Wait(c *Check, after time.Duration) time.Duration {
	if r.Status == Starting && after < c.StartPeriod {
		return c.StartInterval
	}
	return c.Interval
}
