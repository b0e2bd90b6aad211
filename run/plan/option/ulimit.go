package option

import (
	"strconv"
	"strings"
)

// Unlimited is the kernel's RLIM_INFINITY.
const Unlimited = ^uint64(0)

// Ulimit is one resource limit.
type Ulimit struct {
	Name       string // docker's: nofile
	Resource   int    // the kernel's number on amd64 and arm64: 7
	Soft, Hard uint64 // in the kernel's unit; Unlimited for -1
}

// Type is the limit's name in runtime-spec: RLIMIT_NOFILE.
func (u Ulimit) Type() string { return "RLIMIT_" + strings.ToUpper(u.Name) }

// ulimits are docker's names by the kernel's number; as (9) is not among them.
var ulimits = [...]string{
	"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "",
	"locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime",
}

// ParseUlimit reads --ulimit NAME=SOFT[:HARD]; -1 and unlimited are no limit.
func ParseUlimit(s string) (Ulimit, error) {
	const kind = "ulimit"
	const hint = "write NAME=SOFT[:HARD], as in nofile=1024:4096"
	name, limits, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return Ulimit{}, bad(kind, s, hint, "no name and limit")
	}
	u := Ulimit{Name: name, Resource: -1}
	for i, known := range ulimits {
		if known == name {
			u.Resource = i
		}
	}
	if u.Resource < 0 {
		return Ulimit{}, bad(kind, s, meant(name, ulimitNames()), "no such limit: ", quote(name))
	}
	softText, hardText, two := strings.Cut(limits, ":")
	if !two {
		hardText = softText
	}
	if u.Soft, ok = parseLimit(softText); !ok {
		return Ulimit{}, bad(kind, s, hint, "not a limit: ", quote(softText))
	}
	if u.Hard, ok = parseLimit(hardText); !ok {
		return Ulimit{}, bad(kind, s, hint, "not a limit: ", quote(hardText))
	}
	if u.Soft > u.Hard {
		return Ulimit{}, bad(kind, s, hint, "the soft limit ", softText, " is above the hard limit ", hardText)
	}
	return u, nil
}

func parseLimit(s string) (uint64, bool) {
	if s == "-1" || s == "unlimited" {
		return Unlimited, true
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return uint64(n), err == nil && n >= 0
}

func ulimitNames() []string {
	var names []string
	for _, n := range ulimits {
		if n != "" {
			names = append(names, n)
		}
	}
	return names
}
