// Package restart decides whether a container that has ended is started again, and
// when: docker's rules (its restartmanager), without a clock.
package restart

import (
	"time"

	"rl/run/plan/option"
)

// The back-off: each wait is twice the one before, until a run was long enough.
const (
	shortest   = 100 * time.Millisecond
	longest    = time.Minute
	longEnough = 10 * time.Second
)

// State is what is known of a container's restarts.
type State struct {
	option.Restart
	Count int // of restarts since somebody started it
	wait  time.Duration
}

// Next decides after a run that took so long and ended with code. byUser says that
// somebody stopped it.
func (s *State) Next(code int, ran time.Duration, byUser bool) (wait time.Duration, again bool) {
	if ran >= longEnough {
		s.wait = 0
	}
	switch {
	case byUser:
		return 0, false
	case s.Policy == option.RestartAlways, s.Policy == option.RestartUnlessStopped:
	case s.Policy == option.RestartOnFailure && code != 0 && (s.Max == 0 || s.Count < s.Max):
	default:
		return 0, false
	}
	if s.wait = min(2*s.wait, longest); s.wait == 0 {
		s.wait = shortest
	}
	s.Count++
	return s.wait, true
}

// AtBoot tells whether a container is to be started when the machine, or its user's
// session, has come up. docker's: on-failure is none of that.
func AtBoot(r option.Restart, stoppedByUser bool) bool {
	return r.Policy == option.RestartAlways || r.Policy == option.RestartUnlessStopped && !stoppedByUser
}
