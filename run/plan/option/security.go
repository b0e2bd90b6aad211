package option

import (
	"slices"
	"strings"
)

// Security is what the --security-opt options of one container say together.
type Security struct {
	// Seccomp is the filter: "" the built-in profile, "unconfined" none, else
	// the path of a profile in JSON.
	Seccomp         string
	NoNewPrivileges bool
	// Mask are further paths to hide, Unmask paths that the defaults hide or make
	// read-only and that shall be open; UnmaskAll opens all of them.
	Mask, Unmask []string
	UnmaskAll    bool
	// AppArmor and Label are what was asked of AppArmor ("" or "unconfined" is
	// nothing) and SELinux (without "disable"), which rl cannot do: a Notice says so.
	AppArmor string
	Label    []string
	Notices  []string
}

// SeccompUnconfined is the Seccomp of a container without a filter.
const SeccompUnconfined = "unconfined"

var securityKeys = []string{"seccomp", "no-new-privileges", "apparmor", "label", "mask", "unmask", "systempaths"}

// ParseSecurity reads the values of --security-opt; of contradicting ones the
// last wins. Keys and values are separated by =, or by : as in old docker.
func ParseSecurity(values []string) (Security, error) {
	var s Security
	for _, v := range values {
		if err := s.set(v); err != nil {
			return Security{}, err
		}
	}
	return s, nil
}

// Options are values of --security-opt that say the same.
func (s Security) Options() (list []string) {
	for _, o := range []struct{ key, value string }{{"seccomp", s.Seccomp}, {"apparmor", s.AppArmor},
		{"mask", strings.Join(s.Mask, ":")}, {"unmask", strings.Join(s.Unmask, ":")}} {
		if o.value != "" {
			list = append(list, o.key+"="+o.value)
		}
	}
	for _, l := range s.Label {
		list = append(list, "label="+l)
	}
	if s.NoNewPrivileges {
		list = append(list, "no-new-privileges")
	}
	if s.UnmaskAll {
		list = append(list, "systempaths=unconfined")
	}
	return list
}

func (s *Security) set(text string) error {
	const kind = "security option"
	key, value := text, ""
	if i := strings.IndexAny(text, "=:"); i >= 0 {
		key, value = text[:i], text[i+1:]
	}
	if value == "" && key != "no-new-privileges" && slices.Contains(securityKeys, key) {
		return bad(kind, text, "write "+key+"=VALUE", key, " needs a value")
	}
	if hasNUL(value) {
		return bad(kind, text, "", "a value cannot have a NUL byte")
	}
	switch key {
	case "seccomp":
		if s.Seccomp = value; value == "builtin" || value == "default" {
			s.Seccomp = ""
		}
	case "no-new-privileges":
		on, ok := isBool(value)
		if !ok && text != key {
			return bad(kind, text, "write no-new-privileges, or no-new-privileges=false", "neither true nor false: ", quote(value))
		}
		s.NoNewPrivileges = on || text == key
	case "apparmor":
		if s.AppArmor = value; value != "unconfined" {
			s.Notices = append(s.Notices, "security option "+quote(text)+" has no effect: rl cannot load or apply AppArmor profiles without root")
		}
	case "label":
		if value != "disable" {
			s.Label = append(s.Label, value)
			s.Notices = append(s.Notices, "security option "+quote(text)+" has no effect: rl does not set SELinux labels")
		}
	case "mask":
		return pathList(text, value, &s.Mask)
	case "unmask":
		if strings.EqualFold(value, "ALL") {
			s.UnmaskAll = true
			return nil
		}
		return pathList(text, value, &s.Unmask)
	case "systempaths":
		if value != "unconfined" {
			return bad(kind, text, "write systempaths=unconfined", "no such value: ", quote(value))
		}
		s.UnmaskAll = true
	default:
		return bad(kind, text, meant(key, securityKeys), "there is none of that name")
	}
	return nil
}

// pathList reads /path:/path; patterns are left to whoever expands them.
func pathList(text, value string, into *[]string) error {
	for _, p := range strings.Split(value, ":") {
		if !strings.HasPrefix(p, "/") {
			return bad("security option", text, "write /path, or several with : between them", quote(p), " is not an absolute path")
		}
		*into = append(*into, p)
	}
	return nil
}
