package cli

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rl/run"
	"rl/run/health"
	"rl/run/plan/option"
	"rl/run/state"
	"rl/userns/probe"
	"rl/userns/sys/fault"
)

// psTest is what a container passes or not.
type psTest = func(*state.Record, state.Status) bool

// psFilter is docker's --filter: values of one key are alternatives, labels must all be there.
type psFilter struct {
	tests map[string][]psTest
	ended bool // it asks for what only those have that have ended
}

var psStates = []string{"created", "restarting", "running", "removing", "paused", "exited", "dead"}

// newPsFilter reads KEY=VALUE, and looks up once what is the same for all containers.
func newPsFilter(e *run.Engine, list []string) (*psFilter, error) {
	f := &psFilter{tests: map[string][]psTest{}}
	if len(list) == 0 {
		return f, nil
	}
	all := psFilters()
	for _, text := range list {
		key, value, ok := strings.Cut(text, "=")
		prepare, known := all[key]
		if !ok || !known {
			return nil, fault.New("filters are ancestor, before, exited, expose, health, id, is-task, label, name, network, publish, since, status and volume, as in name=web",
				"invalid filter %q", text)
		}
		test, err := prepare(e, value)
		if err != nil {
			return nil, fault.New("", "invalid filter %q: %w", text, err)
		}
		f.tests[key] = append(f.tests[key], test)
		f.ended = f.ended || key == "status" || key == "exited"
	}
	return f, nil
}

// likes tells whether a container passes.
func (f *psFilter) likes(rec *state.Record, s state.Status) bool {
	for key, list := range f.tests {
		passes := func(test psTest) bool { return test(rec, s) }
		if key == "label" {
			if slices.ContainsFunc(list, func(t psTest) bool { return !passes(t) }) {
				return false
			}
		} else if !slices.ContainsFunc(list, passes) {
			return false
		}
	}
	return true
}

// psFilters make the test for a value of each key.
func psFilters() map[string]func(e *run.Engine, v string) (psTest, error) {
	return map[string]func(e *run.Engine, v string) (psTest, error){
		"ancestor": func(e *run.Engine, v string) (psTest, error) {
			stands := e.StandsOn(v)
			return func(rec *state.Record, _ state.Status) bool {
				return rec.Image == v || strings.TrimSuffix(rec.Image, ":latest") == v || len(v) > 1 && strings.HasPrefix(strings.TrimPrefix(rec.ImageID, "sha256:"), strings.TrimPrefix(v, "sha256:")) || stands(rec)
			}, nil
		},
		"before": func(e *run.Engine, v string) (psTest, error) {
			other, err := e.State.Find(v)
			return func(rec *state.Record, _ state.Status) bool { return rec.Created.Before(other.Created) }, err
		},
		"since": func(e *run.Engine, v string) (psTest, error) {
			other, err := e.State.Find(v)
			return func(rec *state.Record, _ state.Status) bool { return rec.Created.After(other.Created) }, err
		},
		"exited": func(_ *run.Engine, v string) (psTest, error) {
			n, err := strconv.Atoi(v)
			if err != nil {
				err = fault.New("", "it is an exit status")
			}
			return func(rec *state.Record, s state.Status) bool { return !s.Running && !rec.Fresh && s.Exit == n }, err
		},
		"expose": func(_ *run.Engine, v string) (psTest, error) {
			ports, err := option.ParseExpose(v)
			return func(rec *state.Record, s state.Status) bool {
				return s.Running && slices.ContainsFunc(shownPorts(rec), func(p shownPort) bool {
					return slices.Contains(ports, option.Port{Proto: p.proto, Port: p.port})
				})
			}, err
		},
		"publish": func(_ *run.Engine, v string) (psTest, error) {
			ports, err := option.ParseExpose(v)
			return func(rec *state.Record, s state.Status) bool {
				return s.Running && slices.ContainsFunc(rec.Ports, func(p state.PublishedPort) bool {
					return slices.Contains(ports, option.Port{Proto: p.Proto, Port: p.HostPort})
				})
			}, err
		},
		"health": func(_ *run.Engine, v string) (psTest, error) {
			if !slices.Contains([]string{health.None, health.Starting, health.Healthy, health.Unhealthy}, v) {
				return nil, fault.New("write starting, healthy, unhealthy or none", "there is no such state")
			}
			return func(_ *state.Record, s state.Status) bool {
				return s.Health == nil && v == health.None || s.Health != nil && s.Health.Status == v
			}, nil
		},
		"id": func(_ *run.Engine, v string) (psTest, error) {
			like := likeName(v)
			return func(rec *state.Record, _ state.Status) bool { return strings.HasPrefix(rec.ID, v) || like(rec.ID) }, nil
		},
		"is-task": func(_ *run.Engine, v string) (psTest, error) {
			task, err := strconv.ParseBool(v)
			if err != nil {
				err = fault.New("", "it is true or false")
			}
			return func(*state.Record, state.Status) bool { return !task }, err // swarm's, of which there is none
		},
		"label": func(_ *run.Engine, v string) (psTest, error) {
			return func(rec *state.Record, _ state.Status) bool { return hasLabel(rec.Labels, v) }, nil
		},
		"name": func(_ *run.Engine, v string) (psTest, error) {
			like := likeName(v)
			return func(rec *state.Record, _ state.Status) bool { return like(rec.Name) || like("/"+rec.Name) }, nil
		},
		"network": func(e *run.Engine, v string) (psTest, error) {
			live := e.LiveNetworks()
			name := v
			if n, _, err := e.Network(v); err == nil {
				name = n.Name
			}
			return func(rec *state.Record, s state.Status) bool {
				list := networksOf(rec, s, live)
				return slices.Contains(list, v) || slices.Contains(list, name)
			}, nil
		},
		"status": func(_ *run.Engine, v string) (psTest, error) {
			if !slices.Contains(psStates, v) {
				return nil, fault.New("write one of "+strings.Join(psStates, ", "), "there is no such state")
			}
			return func(rec *state.Record, s state.Status) bool {
				return stateOf(s) == v && !rec.Fresh || rec.Fresh && v == "created"
			}, nil
		},
		"volume": func(_ *run.Engine, v string) (psTest, error) {
			return func(rec *state.Record, _ state.Status) bool {
				return slices.ContainsFunc(rec.Mounts, func(m state.Mount) bool { return m.Name == v || m.Target == v || m.Name == "" && m.Source == v })
			}, nil
		},
	}
}

// likeName is docker's comparison of names and ids: a regular expression, or a part.
func likeName(v string) func(string) bool {
	re, err := regexp.Compile(v)
	if err != nil {
		return func(s string) bool { return s == v }
	}
	return re.MatchString
}

// networksOf are the networks that a container is in: while it runs those that it has been
// connected to since, too.
func networksOf(rec *state.Record, s state.Status, live map[string][]string) []string {
	named := rec.Network == string(probe.NetNamed)
	if named && s.Running && live != nil {
		return live[rec.ID]
	}
	if !named || len(rec.Endpoints) == 0 {
		return append([]string{rec.Network}, live[rec.ID]...)
	}
	var list []string
	for _, e := range rec.Endpoints {
		list = append(list, e.Network)
	}
	return list
}
