package option

import "strings"

// Modes of namespaces.
const (
	Private   = "private"   // the container has its own
	Host      = "host"      // the container shares the caller's
	None      = "none"      // nothing inside: only loopback, no /dev/shm
	Container = "container" // it shares another container's
)

// Mode is a namespace's mode and what stands behind its colon: a container, a
// path, or the name of a network.
type Mode struct{ Name, Arg string }

// ParsePid reads --pid: private (the default), host, container:NAME or ns:PATH.
func ParsePid(s string) (Mode, error) {
	return parseMode("pid mode", s, Private, Host, Container, NetPath)
}

// ParseUTS reads --uts: private (the default), host, container:NAME or ns:PATH.
func ParseUTS(s string) (Mode, error) {
	return parseMode("uts mode", s, Private, Host, Container, NetPath)
}

// ParseIPC reads --ipc: private (the default; shareable is the same here), host,
// none (private without /dev/shm), container:NAME or ns:PATH.
func ParseIPC(s string) (Mode, error) {
	if s == "shareable" {
		s = Private
	}
	return parseMode("ipc mode", s, Private, Host, None, Container, NetPath)
}

func parseMode(kind, s string, known ...string) (Mode, error) {
	if s == "" {
		return Mode{Name: Private}, nil
	}
	name, arg, hasArg := strings.Cut(s, ":")
	for _, k := range known {
		if k != name {
			continue
		}
		if takesArg := name == Container || name == NetPath; takesArg != (arg != "") || hasArg && !takesArg {
			break
		}
		return Mode{name, arg}, nil
	}
	words := make([]string, 0, len(known))
	for _, k := range known {
		switch k {
		case Container:
			k += ":NAME"
		case NetPath:
			k += ":PATH"
		}
		words = append(words, k)
	}
	return Mode{}, bad(kind, s, "modes are "+strings.Join(words, ", "), "no such mode")
}

// Modes of --userns beside Private (the best rung there is) and Host (which
// rootless podman takes as private: the caller is root inside).
const (
	KeepID      = "keep-id"     // the caller keeps an id inside
	Straight    = "straight"    // pins the rung: every id of this namespace
	Subordinate = "subordinate" // pins the rung: newuidmap
	Single      = "single"      // pins the rung: one id
)

// Userns is --userns.
type Userns struct {
	Mode     string
	UID, GID int // of keep-id: the ids inside; -1 the caller's own
}

// ParseUserns reads --userns: host or private, keep-id[:uid=N,gid=N], or a rung
// of the identity ladder by name.
func ParseUserns(s string) (Userns, error) {
	const kind = "userns mode"
	const hint = "modes are private, host, keep-id[:uid=N,gid=N], straight, subordinate, single"
	name, arg, hasArg := strings.Cut(s, ":")
	u := Userns{Mode: name, UID: -1, GID: -1}
	switch name {
	case "":
		u.Mode = Private
	case Private, Host, Straight, Subordinate, Single, KeepID:
	case "auto", "nomap", Container, NetPath:
		return Userns{}, bad(kind, s, hint, "this mode is not supported")
	default:
		return Userns{}, bad(kind, s, hint, "no such mode")
	}
	if !hasArg {
		return u, nil
	}
	if name != KeepID {
		return Userns{}, bad(kind, s, hint, quote(name), " takes nothing after a colon")
	}
	for _, field := range strings.Split(arg, ",") {
		key, value, _ := strings.Cut(field, "=")
		id, ok := parseID(value)
		switch {
		case key != "uid" && key != "gid":
			return Userns{}, bad(kind, s, "write keep-id:uid=N,gid=N", "unknown option ", quote(key))
		case !ok:
			return Userns{}, bad(kind, s, "write keep-id:uid=N,gid=N", key, " is not an id: ", quote(value))
		case key == "uid":
			u.UID = id
		default:
			u.GID = id
		}
	}
	return u, nil
}

// ParseCgroupns reads --cgroupns: private (the default) or host.
func ParseCgroupns(s string) (Mode, error) {
	return parseMode("cgroup namespace mode", s, Private, Host)
}
