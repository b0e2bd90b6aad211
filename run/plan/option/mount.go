package option

import (
	"path"
	"strconv"
	"strings"
)

// MountType says what is mounted.
type MountType string

// The types of mounts that -v, --mount and --tmpfs make.
const (
	Bind   MountType = "bind"
	Volume MountType = "volume"
	Tmpfs  MountType = "tmpfs"
)

// Mount is one mount of a container, from -v, --mount or --tmpfs.
type Mount struct {
	Type MountType
	// Source is, for a bind, the host's path: absolute and clean, or relative
	// to the caller's working directory as it was written. For a volume, its
	// name; "" is an anonymous one. A tmpfs has none.
	Source string
	// Target is absolute, clean and never the root directory.
	Target   string
	ReadOnly bool
	// Propagation is private, rprivate, shared, rshared, slave or rslave; ""
	// when nothing was said, which means rprivate.
	Propagation string
	// Recursive binds what is mounted below the source too. Docker's default.
	Recursive bool
	// RecursiveReadOnly says how far ReadOnly reaches with Recursive: "" means
	// into the mounts below where the kernel can (5.12), "writable" only the top
	// one, "readonly" all or an error.
	RecursiveReadOnly string
	// NoCopy leaves a new volume empty instead of filling it from the image.
	NoCopy bool
	// Anonymous says that nobody chose the volume's name, though there is one: it is
	// another container's (--volumes-from).
	Anonymous bool
	// Labels are of a volume that is made for this mount.
	Labels []Label
	// Subpath is the directory of the volume that is mounted, "" for all of it.
	Subpath string
	// Options are further options for mount(2), checked: flags (nosuid, nodev,
	// noexec, noatime …) and, for a tmpfs, size=BYTES or size=N%, mode=OCTAL,
	// uid=, gid=, nr_inodes=, nr_blocks=. A tmpfs has nosuid, nodev and noexec
	// unless they were lifted.
	Options []string
	// Notices are what was accepted and has no effect, one sentence each.
	Notices []string
}

const mountRootHint = "mount below a directory; to run in a directory as the root use --rootfs"

// setTarget checks and sets where the mount goes.
func (m *Mount) setTarget(kind, value, target, hint string) error {
	switch {
	case target == "":
		return bad(kind, value, hint, "no destination")
	case !strings.HasPrefix(target, "/"):
		return bad(kind, value, hint, "the destination ", quote(target), " is not an absolute path")
	case hasNUL(target):
		return bad(kind, value, "", "a path cannot have a NUL byte")
	}
	if m.Target = path.Clean(target); m.Target == "/" {
		return bad(kind, value, mountRootHint, "the destination cannot be the root directory")
	}
	return nil
}

// setBindSource checks and sets what a bind mount shows.
func (m *Mount) setBindSource(kind, value, source string) error {
	switch {
	case source == "":
		return bad(kind, value, "name the host's file or directory", "a bind mount needs a source")
	case hasNUL(source):
		return bad(kind, value, "", "a path cannot have a NUL byte")
	case source == "~" || strings.HasPrefix(source, "~/"):
		return bad(kind, value, "write \"$HOME"+plain(strings.TrimPrefix(source, "~"))+"\"",
			"the shell did not expand the ~, and rl does not either")
	case strings.HasPrefix(source, "/"):
		source = path.Clean(source)
	}
	m.Source = source
	return nil
}

// setVolumeName checks and sets the name of a volume.
func (m *Mount) setVolumeName(kind, value, name string) error {
	if !isName(name) {
		hint := "names are two or more of a-z A-Z 0-9 _ . -, the first a letter or digit"
		if strings.Contains(name, "/") {
			hint = "for a directory of the host write an absolute path, or ./" + plain(name)
		}
		return bad(kind, value, hint, quote(name), " is not a name for a volume")
	}
	m.Source = name
	return nil
}

// isPropagation tells whether a word is one of mount(2)'s propagations.
func isPropagation(s string) bool {
	switch s {
	case "private", "rprivate", "shared", "rshared", "slave", "rslave":
		return true
	}
	return false
}

// flagGroup tells which words of mount options exclude each other, "" for none of them.
func flagGroup(word string) string {
	switch word {
	case "suid", "nosuid":
		return "suid"
	case "dev", "nodev":
		return "dev"
	case "exec", "noexec":
		return "exec"
	case "atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime":
		return "atime"
	case "diratime", "nodiratime":
		return "diratime"
	case "sync", "async":
		return "sync"
	}
	return ""
}

// isDefaultFlag tells which of the words only say what mount(2) does anyway.
func isDefaultFlag(word string) bool {
	switch word {
	case "suid", "dev", "exec", "atime", "diratime", "async", "norelatime", "nostrictatime":
		return true
	}
	return false
}

// setFlag replaces what was said before about the same thing.
func (m *Mount) setFlag(word string) {
	group := flagGroup(word)
	kept := m.Options[:0]
	for _, o := range m.Options {
		if flagGroup(o) != group {
			kept = append(kept, o)
		}
	}
	if !isDefaultFlag(word) {
		kept = append(kept, word)
	}
	m.Options = kept
}

// setData replaces an option of the form key=value.
func (m *Mount) setData(key, value string) {
	kept := m.Options[:0]
	for _, o := range m.Options {
		if k, _, ok := strings.Cut(o, "="); !ok || k != key {
			kept = append(kept, o)
		}
	}
	m.Options = append(kept, key+"="+value)
}

func (m *Mount) notice(s string) { m.Notices = append(m.Notices, s) }

func parseOctal(s string) (string, bool) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o7777 {
		return "", false
	}
	return strconv.FormatUint(n, 8), true
}
