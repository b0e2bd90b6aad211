package option

import "strings"

// Env is one variable of -e or --env-file.
type Env struct {
	Name, Value string
	// Unset takes the variable away: "-e NAME" where the caller has none.
	Unset bool
}

// Lookup finds a variable in the caller's environment, as os.LookupEnv does.
type Lookup func(name string) (value string, ok bool)

// ParseEnv reads -e NAME=VALUE, or NAME alone for the caller's value. A variable
// that the caller does not have is taken away from the image's, as docker does.
func ParseEnv(s string, lookup Lookup) (Env, error) {
	const kind = "environment variable"
	const hint = "write NAME=VALUE, or NAME to pass the caller's value on"
	name, value, ok := strings.Cut(s, "=")
	switch {
	case name == "":
		return Env{}, bad(kind, s, hint, "no name")
	case hasNUL(s):
		return Env{}, bad(kind, s, hint, "a variable cannot have a NUL byte")
	}
	if !ok {
		if value, ok = lookup(name); !ok {
			return Env{Name: name, Unset: true}, nil
		}
	}
	return Env{Name: name, Value: value}, nil
}

// ApplyEnv puts variables over a list of NAME=VALUE (an image's) and returns a
// new list: names that were there keep their place, the last setting wins, and
// entries of the list that are not NAME=VALUE are left out.
func ApplyEnv(base []string, vars []Env) []string {
	out := make([]string, 0, len(base)+len(vars))
	place := make(map[string]int, len(base)+len(vars))
	set := func(name, entry string) {
		i, ok := place[name]
		if !ok {
			i = len(out)
			place[name] = i
			out = append(out, "")
		}
		out[i] = entry
	}
	for _, entry := range base {
		if name, _, ok := strings.Cut(entry, "="); ok && name != "" {
			set(name, entry)
		}
	}
	for _, v := range vars {
		if !v.Unset {
			set(v.Name, v.Name+"="+v.Value)
		} else if i, ok := place[v.Name]; ok {
			out[i] = ""
			delete(place, v.Name)
		}
	}
	kept := out[:0]
	for _, entry := range out {
		if entry != "" {
			kept = append(kept, entry)
		}
	}
	return kept
}
