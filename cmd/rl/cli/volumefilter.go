package cli

import (
	"slices"
	"strconv"
	"strings"

	"rl/run"
	"rl/run/volume"
	"rl/userns/sys/fault"
)

// volumeFilter has the values of --filter by their keys. Values of one key are
// alternatives, but for labels, all of which must be there.
type volumeFilter map[string][]string

func newVolumeFilter(filters []string, known ...string) (volumeFilter, error) {
	all := volumeFilter{}
	for _, f := range filters {
		key, value, ok := cutFilter(f)
		if !ok || !slices.Contains(known, key) {
			return nil, fault.New("filters are "+strings.Join(known, ", ")+", as in name=data", "invalid filter %q", f)
		}
		if key == "dangling" || key == "all" {
			if _, err := strconv.ParseBool(value); err != nil {
				return nil, fault.New("write "+key+"=true or "+key+"=false", "invalid filter '%s=%s'", key, value)
			}
		}
		all[key] = append(all[key], value)
	}
	return all, nil
}

// cutFilter takes a filter apart; label!=x is key label! with value x.
func cutFilter(f string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(f, "=")
	return strings.TrimSpace(key), strings.TrimSpace(value), ok
}

// likes tells what can be told of a volume alone.
func (f volumeFilter) likes(v *volume.Volume) bool {
	for key, values := range f {
		var ok bool
		switch key {
		case "driver":
			ok = slices.Contains(values, "local")
		case "name":
			ok = slices.ContainsFunc(values, func(s string) bool { return strings.Contains(v.Name, s) })
		case "label", "label!":
			ok = !slices.ContainsFunc(values, func(s string) bool { return hasLabel(v.Labels, s) != (key == "label") })
		default:
			ok = true
		}
		if !ok {
			return false
		}
	}
	return true
}

// hasLabel tells whether there is a label KEY, or KEY=VALUE.
func hasLabel(labels map[string]string, want string) bool {
	name, value, exact := strings.Cut(want, "=")
	got, ok := labels[name]
	return ok && (!exact || got == value)
}

// list gives the volumes that the filter wants.
func (f volumeFilter) list(e *run.Engine) ([]*volume.Volume, error) {
	list, err := e.Volumes().List()
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(v *volume.Volume) bool { return !f.likes(v) })
	if len(f["dangling"]) == 0 {
		return list, nil
	}
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = v.Name
	}
	users, err := e.State.VolumeUsers(names, "")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(v *volume.Volume) bool {
		return !slices.ContainsFunc(f["dangling"], func(s string) bool {
			want, _ := strconv.ParseBool(s)
			return want == (len(users[v.Name]) == 0)
		})
	}), nil
}
