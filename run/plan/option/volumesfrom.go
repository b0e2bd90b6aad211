package option

import "strings"

// VolumesFrom is a container whose binds and volumes another one gets, too.
type VolumesFrom struct {
	Container string
	ReadOnly  bool
}

// ParseVolumesFrom reads --volumes-from CONTAINER[:MODE], of which docker's ro and rw mean
// something; z and Z are accepted.
func ParseVolumesFrom(s string) (VolumesFrom, error) {
	const kind, hint = "volumes-from", "write CONTAINER, CONTAINER:ro or CONTAINER:rw"
	name, mode, said := strings.Cut(s, ":")
	if name == "" {
		return VolumesFrom{}, bad(kind, s, hint, "no container")
	}
	v := VolumesFrom{Container: name}
	if !said {
		return v, nil
	}
	words := map[string]bool{}
	for _, w := range strings.Split(mode, ",") {
		switch w {
		case "ro", "rw", "z", "Z":
			words[w] = true
		default:
			return VolumesFrom{}, bad(kind, s, hint, "no such mode: ", quote(w))
		}
	}
	if words["ro"] && words["rw"] {
		return VolumesFrom{}, bad(kind, s, "keep one of them", "ro and rw contradict each other")
	}
	v.ReadOnly = words["ro"]
	return v, nil
}
