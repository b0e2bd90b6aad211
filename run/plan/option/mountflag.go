package option

import (
	"slices"
	"strings"
)

const mountHint = "write type=bind,src=/host/path,dst=/path[,ro], or type=tmpfs,dst=/path"

// mountKeys are the keys of --mount, for suggestions.
var mountKeys = []string{
	"type", "source", "src", "target", "dst", "destination", "readonly", "ro", "consistency", "bind-propagation",
	"bind-recursive", "bind-nonrecursive", "bind-create-src", "volume-nocopy", "volume-subpath", "volume-driver", "volume-opt",
	"volume-label", "tmpfs-size", "tmpfs-mode", "relabel", "chown",
}

// ParseMount reads --mount key=value,…: docker's long form, a line of CSV. The
// type is volume unless it is said; keys are read in either case, as docker does.
func ParseMount(s string) (Mount, error) {
	const kind = "mount"
	fields, why := splitCSV(strings.TrimSpace(s))
	switch {
	case strings.TrimSpace(s) == "":
		return Mount{}, bad(kind, s, mountHint, "nothing there")
	case why != "":
		return Mount{}, bad(kind, s, mountHint, why)
	}
	p := mountFlag{text: s, Mount: Mount{Type: Volume, Recursive: true}}
	for _, field := range fields {
		if err := p.field(field); err != nil {
			return Mount{}, err
		}
	}
	if err := p.finish(); err != nil {
		return Mount{}, err
	}
	return p.Mount, nil
}

// mountFlag is a --mount being read. Keys come in any order, so what depends on
// the type is checked at the end.
type mountFlag struct {
	Mount
	text           string
	source, target string
	family         string // "bind", "volume", "tmpfs": whose options were used
	familyKey      string // which of them
	size, mode     string
}

func (p *mountFlag) bad(hint string, why ...string) error { return bad("mount", p.text, hint, why...) }

func (p *mountFlag) field(field string) error {
	key, value, hasValue := strings.Cut(field, "=")
	switch {
	case strings.TrimSpace(key) != key || strings.TrimSpace(value) != value:
		return p.bad("remove the blanks", "blanks around ", quote(field))
	case hasValue && value == "":
		return p.bad("write KEY=VALUE", quote(key), " has no value")
	case hasNUL(value):
		return p.bad("", "a value cannot have a NUL byte")
	}
	key = strings.ToLower(key)
	for _, family := range [...]MountType{Bind, Volume, Tmpfs} {
		if strings.HasPrefix(key, string(family)+"-") {
			if p.family != "" && p.family != string(family) {
				return p.bad("", quote(p.familyKey), " and ", quote(key), " are for different types of mount")
			}
			p.family, p.familyKey = string(family), key
		}
	}
	if !hasValue {
		switch key {
		case "readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src":
			value = "true"
		default:
			if !slices.Contains(mountKeys, key) {
				return p.bad(meant(key, mountKeys), "unknown option ", quote(key))
			}
			return p.bad("write "+key+"=VALUE", key, " needs a value")
		}
	}
	return p.set(key, value)
}

func (p *mountFlag) set(key, value string) (err error) {
	switch key {
	case "type":
		return p.setType(strings.ToLower(value))
	case "source", "src":
		p.source = value
	case "target", "dst", "destination":
		p.target = value
	case "readonly", "ro":
		p.ReadOnly, err = p.bool(key, value)
	case "consistency":
	case "bind-propagation":
		if p.Propagation = strings.ToLower(value); !isPropagation(p.Propagation) {
			return p.bad("one of private, rprivate, shared, rshared, slave, rslave", "no such propagation: ", quote(value))
		}
	case "bind-nonrecursive":
		var not bool
		not, err = p.bool(key, value)
		p.Recursive = !not
	case "bind-recursive":
		return p.recursive(value)
	case "bind-create-src":
		if create, err := p.bool(key, value); err != nil || create {
			return p.bad("make the directory first", "a source that is missing is an error; it is never made")
		}
	case "volume-nocopy":
		p.NoCopy, err = p.bool(key, value)
	case "volume-subpath":
		if strings.HasPrefix(value, "/") || hasDotDot(value) {
			return p.bad("write a relative path without ..", "the subpath ", quote(value), " leaves the volume")
		}
		p.Subpath = value
	case "tmpfs-size":
		p.size = value
	case "tmpfs-mode":
		p.mode = value
	case "volume-driver":
		if value != "local" {
			return p.bad("leave volume-driver out", "volumes are local directories: no driver ", quote(value))
		}
	case "volume-label":
		label, err := ParseLabel(value)
		if err != nil {
			return p.bad("write volume-label=KEY=VALUE", "not a label: ", quote(value))
		}
		p.Labels = append(p.Labels, label)
	case "volume-opt":
		return p.bad("leave "+key+" out", "volumes are directories: to mount something else needs root on the host")
	case "relabel":
		p.notice("mount option relabel has no effect: rl does not set SELinux labels")
	case "chown":
		return p.bad("chown the source, or run with --userns=keep-id", "chown (changing the owner of the source) is not supported")
	default:
		return p.bad(meant(key, mountKeys), "unknown option ", quote(key))
	}
	return err
}

func (p *mountFlag) setType(value string) error {
	switch t := MountType(value); t {
	case Bind, Volume, Tmpfs:
		p.Type = t
		return nil
	}
	switch value {
	case "image", "npipe", "cluster", "devpts", "glob", "ramfs", "artifact":
		return p.bad("types are bind, volume and tmpfs", "mounts of type ", value, " are not supported")
	}
	return p.bad(meant(value, []string{"bind", "volume", "tmpfs"}), "no such type: ", quote(value))
}

func (p *mountFlag) recursive(value string) error {
	switch value {
	case "enabled", "true":
		p.Recursive, p.RecursiveReadOnly = true, ""
	case "disabled", "false":
		p.Recursive, p.RecursiveReadOnly = false, ""
	case "writable", "readonly":
		p.Recursive, p.RecursiveReadOnly = true, value
	default:
		return p.bad("one of enabled, disabled, writable, readonly", "no such value of bind-recursive: ", quote(value))
	}
	return nil
}

func (p *mountFlag) bool(key, value string) (bool, error) {
	v, ok := isBool(value)
	if !ok {
		return false, p.bad("write "+key+"=true or "+key+"=false", key, " is neither true nor false: ", quote(value))
	}
	return v, nil
}

// finish checks what depends on the type.
func (p *mountFlag) finish() error {
	if p.family != "" && p.family != string(p.Type) {
		return p.bad("", p.familyKey, " does not fit a mount of type ", string(p.Type))
	}
	if err := p.setTarget("mount", p.text, p.target, mountHint); err != nil {
		return err
	}
	switch p.Type {
	case Bind:
		if p.RecursiveReadOnly != "" && !p.ReadOnly {
			return p.bad("add readonly", "bind-recursive=", p.RecursiveReadOnly, " is about a mount that is readonly")
		}
		if p.RecursiveReadOnly == "readonly" && p.Propagation != "" && p.Propagation != "rprivate" {
			return p.bad("leave bind-propagation out", "bind-recursive=readonly needs the propagation rprivate")
		}
		return p.setBindSource("mount", p.text, p.source)
	case Volume:
		p.Recursive = false
		if p.source == "" {
			return nil
		}
		if strings.HasPrefix(p.source, "/") || strings.HasPrefix(p.source, ".") {
			return p.bad("add type=bind", "a volume is named, not found at a path: ", quote(p.source))
		}
		return p.setVolumeName("mount", p.text, p.source)
	default: // Tmpfs
		p.Recursive = false
		if p.source != "" {
			return p.bad("leave the source out", "a tmpfs has no source")
		}
		return p.tmpfsFields()
	}
}

func (p *mountFlag) tmpfsFields() error {
	p.Options = tmpfsDefaults()
	if p.size != "" {
		if err := p.tmpfsSize("mount", p.text, p.size); err != nil {
			return err
		}
	}
	if p.mode != "" {
		return p.tmpfsMode("mount", p.text, p.mode)
	}
	return nil
}

// String is a value for --mount that [ParseMount] reads as the same mount, but
// for notices and for options that only -v and --tmpfs can say.
func (m Mount) String() string {
	f := []string{"type=" + string(m.Type)}
	if m.Source != "" {
		f = append(f, "src="+m.Source)
	}
	f = append(f, "dst="+m.Target)
	if m.ReadOnly {
		f = append(f, "readonly")
	}
	if m.Propagation != "" {
		f = append(f, "bind-propagation="+m.Propagation)
	}
	switch {
	case m.RecursiveReadOnly != "":
		f = append(f, "bind-recursive="+m.RecursiveReadOnly)
	case m.Type == Bind && !m.Recursive:
		f = append(f, "bind-recursive=disabled")
	}
	if m.NoCopy {
		f = append(f, "volume-nocopy")
	}
	for _, l := range m.Labels {
		f = append(f, "volume-label="+l.Key+"="+l.Value)
	}
	if m.Subpath != "" {
		f = append(f, "volume-subpath="+m.Subpath)
	}
	for _, o := range m.Options {
		if strings.HasPrefix(o, "size=") || strings.HasPrefix(o, "mode=") {
			f = append(f, "tmpfs-"+o)
		}
	}
	return joinCSV(f)
}

func hasDotDot(path string) bool {
	for _, part := range strings.Split(path, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}
