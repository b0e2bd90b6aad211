package cli

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"rl/run"
	"rl/run/network"
	"rl/userns/sys/fault"
)

// networkFilter makes one question of all --filter: values of one key are
// alternatives, different keys and labels must all hold.
func networkFilter(filters []string, known ...string) (func(*run.Engine, *network.Network) (bool, error), error) {
	byKey := map[string][]string{}
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return nil, fault.New("write --filter KEY=VALUE", "bad filter %q", f)
		}
		if !slices.Contains(known, key) {
			return nil, fault.New("filters are "+strings.Join(known, ", "), "invalid filter '%s'", key)
		}
		if key == "until" {
			if _, err := moment(value, time.Now()); err != nil {
				return nil, err
			}
		}
		if _, err := strconv.ParseBool(value); key == "dangling" && err != nil || key == "type" && value != "custom" && value != "builtin" {
			return nil, fault.New("dangling is true or false, type custom or builtin", "invalid filter '%s=%s'", key, value)
		}
		byKey[key] = append(byKey[key], value)
	}
	now := time.Now()
	return func(e *run.Engine, n *network.Network) (bool, error) {
		for key, values := range byKey {
			all := key == "label" || key == "label!"
			hit := all
			for _, v := range values {
				ok, err := networkIs(e, n, key, v, now)
				if err != nil {
					return false, err
				}
				if all {
					hit = hit && ok
				} else {
					hit = hit || ok
				}
			}
			if !hit {
				return false, nil
			}
		}
		return true, nil
	}, nil
}

// networkIs tells whether one filter holds.
func networkIs(e *run.Engine, n *network.Network, key, value string, now time.Time) (bool, error) {
	switch key {
	case "driver":
		return value == "bridge", nil
	case "scope":
		return value == "local", nil
	case "type":
		return value == "custom", nil
	case "id":
		return strings.HasPrefix(n.ID, value), nil
	case "name":
		return strings.Contains(n.Name, value), nil
	case "label", "label!":
		k, v, exact := strings.Cut(value, "=")
		got, has := n.Labels[k]
		return (has && (!exact || got == v)) == (key == "label"), nil
	case "until":
		t, err := moment(value, now)
		return n.Created.Before(t), err
	}
	dangling, err := strconv.ParseBool(value)
	if err != nil {
		return false, err
	}
	_, members, err := e.Network(n.Name)
	return (len(members) == 0) == dangling, err
}

// moment reads docker's times: how long ago, seconds since 1970, or a date.
func moment(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fault.New("write 24h, 2026-01-31, 2026-01-31T12:00:00 or seconds since 1970", "bad time %q", s)
}

type networkPruneCmd struct {
	Filter []string `sep:"none" placeholder:"KEY=VALUE" help:"Only those made until=TIME, or with label=KEY[=VALUE], label!=…"`
	Force  bool     `short:"f" help:"Do not ask."`
}

// Run asks, and removes the networks that nobody is in.
func (c *networkPruneCmd) Run(a *app) error {
	want, err := networkFilter(c.Filter, "until", "label", "label!")
	if err != nil {
		return err
	}
	if !c.Force && !a.sure("This will remove all custom networks not used by at least one container.") {
		return nil
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	names, err := e.PruneNetworks(func(n *network.Network) bool {
		ok, err := want(e, n)
		return ok && err == nil
	})
	if len(names) > 0 {
		a.printf("Deleted Networks:\n%s\n\n", strings.Join(names, "\n"))
	}
	return err
}
