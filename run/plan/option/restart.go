package option

import (
	"strconv"
	"strings"

	"rl/userns/sys/fault"
)

// Restart is what --restart says: when a container is started again that has ended.
type Restart struct {
	Policy string // "", no, always, unless-stopped or on-failure
	Max    int    // on-failure: how often at most; 0 is any number
}

// The policies.
const (
	RestartNo            = "no"
	RestartAlways        = "always"
	RestartUnlessStopped = "unless-stopped"
	RestartOnFailure     = "on-failure"
)

// Any tells whether the container is ever started again.
func (r Restart) Any() bool { return r.Policy != "" && r.Policy != RestartNo }

// String is the policy as it was written.
func (r Restart) String() string {
	if r.Max > 0 {
		return r.Policy + ":" + strconv.Itoa(r.Max)
	}
	return r.Policy
}

// ParseRestart reads no, always, unless-stopped or on-failure[:N].
func ParseRestart(s string) (Restart, error) {
	const hint = "write no, always, unless-stopped or on-failure[:N]"
	name, count, counted := strings.Cut(s, ":")
	r := Restart{Policy: name}
	switch name {
	case "":
		if s == "" {
			return Restart{}, nil
		}
		return r, fault.New(hint, "invalid restart policy format: no policy provided before colon")
	case RestartNo, RestartAlways, RestartUnlessStopped, RestartOnFailure:
	default:
		return r, fault.New(hint, "invalid restart policy: unknown policy '%s'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'", name)
	}
	if !counted {
		return r, nil
	}
	n, err := strconv.Atoi(count)
	switch {
	case err != nil:
		return r, fault.New(hint, "invalid restart policy format: maximum retry count must be an integer")
	case n < 0:
		return r, fault.New(hint, "invalid restart policy: maximum retry count cannot be negative")
	case name != RestartOnFailure && n > 0:
		return r, fault.New(hint, "invalid restart policy: maximum retry count can only be used with 'on-failure'")
	}
	r.Max = n
	return r, nil
}
