package events

import (
	"fmt"
	"slices"
	"strings"
)

// Filter is docker's: values of one key are alternatives, labels must all be there.
type Filter map[string][]string

// Keys are what can be filtered by.
var Keys = []string{"container", "event", "image", "label", "network", "type", "volume"}

// ParseFilter reads KEY=VALUE.
func ParseFilter(texts []string) (Filter, error) {
	f := Filter{}
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if !ok || !slices.Contains(Keys, key) {
			return nil, fmt.Errorf("invalid filter %q", text)
		}
		f[key] = append(f[key], value)
	}
	return f, nil
}

// Match tells whether an event passes.
func (f Filter) Match(e *Event) bool {
	for key, values := range f {
		match := func(v string) bool { return matches(key, v, e) }
		if key == "label" {
			if slices.ContainsFunc(values, func(v string) bool { return !match(v) }) {
				return false
			}
		} else if !slices.ContainsFunc(values, match) {
			return false
		}
	}
	return true
}

func matches(key, v string, e *Event) bool {
	switch key {
	case "type":
		return e.Type == v
	case "event": // exec_start: sh -c true, health_status: healthy
		before, _, colon := strings.Cut(e.Action, ":")
		return e.Action == v || colon && before == v
	case "label":
		name, value, has := strings.Cut(v, "=")
		got, ok := e.Attributes[name]
		return ok && (!has || got == value)
	case "image": // its events, and those of the containers that were made of it
		name := e.Attributes["image"]
		if e.Type == Image {
			name = e.Attributes["name"]
		}
		return e.Type == Image && e.ID == v || name == v || untagged(name) == v || e.Type == Image && untagged(e.ID) == v
	default: // container, network, volume
		if e.Type == key {
			return strings.HasPrefix(e.ID, v) || strings.HasPrefix(e.Attributes["name"], v)
		}
		return key == Container && e.Attributes["container"] != "" && strings.HasPrefix(e.Attributes["container"], v)
	}
}

// untagged is a name without its tag, which a registry's port is not.
func untagged(name string) string {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[:i]
	}
	return name
}
