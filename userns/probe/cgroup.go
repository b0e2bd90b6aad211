package probe

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// CgroupVersion is how control groups are mounted.
type CgroupVersion string

// The ways: v2 alone, v1 with v2 beside it for systemd, v1 alone, not at all.
const (
	CgroupUnified CgroupVersion = "v2"
	CgroupHybrid  CgroupVersion = "hybrid"
	CgroupLegacy  CgroupVersion = "v1"
	CgroupAbsent  CgroupVersion = "none"
)

const cgroup2Magic = 0x63677270

// CgroupVersion tells how control groups are mounted, and where v2 is.
func (f *Facts) CgroupVersion() (v CgroupVersion, v2root string) {
	isV2 := func(p string) bool {
		var fs unix.Statfs_t
		return f.h.Statfs(p, &fs) == nil && uint32(fs.Type) == cgroup2Magic
	}
	switch {
	case isV2("/sys/fs/cgroup"):
		return CgroupUnified, "/sys/fs/cgroup"
	case isV2("/sys/fs/cgroup/unified"):
		return CgroupHybrid, "/sys/fs/cgroup/unified"
	case f.exists("/sys/fs/cgroup/memory") || f.exists("/sys/fs/cgroup/cpu"):
		return CgroupLegacy, ""
	}
	return CgroupAbsent, ""
}

// OwnCgroup is the caller's directory of the v2 hierarchy, "" without one.
func (f *Facts) OwnCgroup() string {
	_, root := f.CgroupVersion()
	b, _ := f.h.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(b)) {
		if p, found := strings.CutPrefix(strings.TrimSpace(line), "0::"); found && root != "" {
			return filepath.Join(root, p)
		}
	}
	return ""
}

// Controllers are those of a v2 cgroup.
func (f *Facts) Controllers(dir string) []string {
	b, _ := f.h.ReadFile(dir + "/cgroup.controllers")
	return strings.Fields(string(b))
}

// writableCgroup reports whether processes and limits of a v2 cgroup are the
// caller's to set: the sign of delegation (cgroup-v2.rst).
func (f *Facts) writableCgroup(dir string) bool {
	for _, p := range []string{"", "/cgroup.procs", "/cgroup.subtree_control"} {
		if f.h.Access(dir+p, unix.W_OK) != nil {
			return false
		}
	}
	return true
}

// delegated is the best cgroup that the caller may use: its own, or that of
// its systemd user manager. "" when there is none.
func (f *Facts) delegated() string {
	_, root := f.CgroupVersion()
	if root == "" {
		return ""
	}
	if own := f.OwnCgroup(); own != "" && f.writableCgroup(own) {
		return own
	}
	uid := strconv.Itoa(f.UID())
	if p := root + "/user.slice/user-" + uid + ".slice/user@" + uid + ".service"; f.writableCgroup(p) {
		return p
	}
	return ""
}

// UserBus is the socket of the systemd user manager's D-Bus, "" without one.
func (f *Facts) UserBus() string {
	if x := f.h.Getenv("XDG_RUNTIME_DIR"); x != "" {
		var st unix.Stat_t
		if p := filepath.Join(x, "bus"); f.h.Stat(p, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK && int(st.Uid) == f.UID() {
			return p
		}
	}
	return ""
}

// Cgroup chooses how limits are set: in this version, not at all. pin is the
// value of --cgroups: "" or "auto", "none" or "disabled".
func Cgroup(f *Facts, pin string) (Choice, error) {
	c := Choice{Ladder: "cgroup"}
	switch pin {
	case "", "auto":
		c.Rung, c.Reason = CgroupNone, "no limits are set: this version of rl cannot do that yet"
	case "none", "disabled":
		c.Rung, c.Reason = CgroupNone, "asked for"
	case "systemd", "delegated", "cgroupfs", "enabled":
		return c, fault.New("leave out --cgroups", "--cgroups %s: this version of rl cannot set limits yet", pin)
	default:
		return c, badPin("--cgroups", pin, "auto", "none")
	}
	return c, nil
}

func (f *Facts) checkCgroup() Check {
	switch v, _ := f.CgroupVersion(); v {
	case CgroupUnified:
		return ok("cgroup v2")
	case CgroupHybrid:
		return missed("cgroup v1, with v2 beside it", "controllers that v1 holds cannot be delegated to users", "boot with systemd.unified_cgroup_hierarchy=1 (and cgroup_no_v1=all)")
	case CgroupLegacy:
		return missed("cgroup v1", "v1 cannot be delegated to users safely", "boot with systemd.unified_cgroup_hierarchy=1")
	}
	return missed("no cgroups", "nothing is mounted at /sys/fs/cgroup", "mount -t cgroup2 none /sys/fs/cgroup")
}

func (f *Facts) checkDelegation() Check {
	dir := f.delegated()
	if dir == "" {
		return missed("no cgroup is delegated to "+f.User(), "limits (memory, cpus, pids) cannot be set", f.delegateRemedy())
	}
	have := f.Controllers(dir)
	for _, want := range []string{"memory", "pids", "cpu"} {
		if !slices.Contains(have, want) {
			return missed(dir+": "+strings.Join(have, " "), "the controller "+want+" is not delegated", f.delegateRemedy())
		}
	}
	return ok(dir + ": " + strings.Join(have, " "))
}

// delegateRemedy is systemd's way of giving all controllers to users.
func (f *Facts) delegateRemedy() string {
	if !f.exists("/run/systemd/system") {
		return "give " + f.User() + " a cgroup v2 directory of its own (chown it, its cgroup.procs and its cgroup.subtree_control)"
	}
	return "mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload, then log in again"
}

func (f *Facts) checkSystemd() Check {
	if !f.exists("/run/systemd/system") {
		return info("this host does not run systemd")
	}
	if bus := f.UserBus(); bus != "" {
		return ok("user manager at " + bus)
	}
	return missed("no user manager", "its bus is not in $XDG_RUNTIME_DIR", "log in through PAM (ssh, not su), or loginctl enable-linger "+f.User())
}

func (f *Facts) checkLinger() Check {
	if !f.exists("/run/systemd/system") {
		return info("this host does not run systemd")
	}
	if f.exists("/var/lib/systemd/linger/" + f.User()) {
		return ok("what " + f.User() + " starts outlives the session")
	}
	return info("what " + f.User() + " starts may end with the session (loginctl enable-linger " + f.User() + ")")
}
