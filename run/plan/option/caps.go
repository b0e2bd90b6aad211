package option

import (
	"sort"
	"strings"
)

// capNames are all capabilities by number, CAP_CHOWN = 0 to CAP_CHECKPOINT_RESTORE = 40
// (linux/capability.h; the last since Linux 5.9).
var capNames = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK",
	"CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN",
	"CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE",
	"CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// defaultCaps are the 14 that docker gives (moby, daemon/pkg/oci/caps/defaults.go).
const defaultCaps = 1<<0 | 1<<1 | 1<<4 | 1<<3 | 1<<27 | 1<<13 | 1<<6 | 1<<7 | 1<<31 | 1<<8 | 1<<10 | 1<<18 | 1<<5 | 1<<29

const allCaps = 1<<len(capNames) - 1

// CapNumber is the kernel's number of a capability, in any spelling that
// [ParseCap] takes but ALL.
func CapNumber(name string) (int, bool) {
	name = canonicalCap(name)
	for i, n := range capNames {
		if n == name {
			return i, true
		}
	}
	return 0, false
}

// CapName is the name of a capability by number, "" when there is none.
func CapName(number int) string {
	if number < 0 || number >= len(capNames) {
		return ""
	}
	return capNames[number]
}

// AllCaps gives the names of every capability, sorted.
func AllCaps() []string { return capList(allCaps) }

// DefaultCaps gives the names of the capabilities of an ordinary container, sorted.
func DefaultCaps() []string { return capList(defaultCaps) }

// ParseCap gives a capability its full name: cap_net_admin, NET_ADMIN and
// net_admin are CAP_NET_ADMIN. ALL stays ALL.
func ParseCap(s string) (string, error) {
	name := canonicalCap(s)
	if name == "ALL" {
		return name, nil
	}
	if _, ok := CapNumber(name); ok {
		return name, nil
	}
	words := make([]string, 0, len(capNames)+1)
	for _, n := range capNames {
		words = append(words, n[len("CAP_"):])
	}
	words = append(words, "ALL")
	hint := "names are those of capabilities(7), as in NET_ADMIN, or ALL"
	if near := Nearest(strings.TrimPrefix(name, "CAP_"), words); near != "" {
		hint = meant(near, []string{near})
	}
	return "", bad("capability", s, hint, "there is none of that name")
}

func canonicalCap(s string) string {
	s = strings.ToUpper(strings.TrimSpace(s))
	if s == "ALL" || strings.HasPrefix(s, "CAP_") {
		return s
	}
	return "CAP_" + s
}

// Effective computes a container's capabilities as docker's daemon does, sorted
// by name. Privileged has all. Else add beats drop: ALL added means all but
// those dropped by name; ALL dropped means only those added; otherwise those
// dropped are taken from the default ones and those added put to them.
func Effective(add, drop []string, privileged bool) ([]string, error) {
	added, addAll, err := capMask(add)
	if err != nil {
		return nil, err
	}
	dropped, dropAll, err := capMask(drop)
	if err != nil {
		return nil, err
	}
	switch {
	case privileged:
		return capList(allCaps), nil
	case addAll:
		return capList(allCaps &^ dropped), nil
	case dropAll:
		return capList(added), nil
	}
	return capList(defaultCaps&^dropped | added), nil
}

func capMask(names []string) (mask uint64, all bool, err error) {
	for _, s := range names {
		name, err := ParseCap(s)
		if err != nil {
			return 0, false, err
		}
		if name == "ALL" {
			all = true
			continue
		}
		n, _ := CapNumber(name)
		mask |= 1 << n
	}
	return mask, all, nil
}

func capList(mask uint64) []string {
	var names []string
	for i, n := range capNames {
		if mask>>i&1 == 1 {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	return names
}
