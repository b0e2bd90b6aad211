package probe

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
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

// cgroupMount is how control groups are mounted, and where v2 is.
type cgroupMount struct {
	version CgroupVersion
	root    string
}

// CgroupVersion tells how control groups are mounted, and where v2 is.
func (f *Facts) CgroupVersion() (v CgroupVersion, v2root string) {
	m := f.cgroups.get(f.findCgroups)
	return m.version, m.root
}

func (f *Facts) findCgroups() cgroupMount {
	isV2 := func(p string) bool {
		var fs unix.Statfs_t
		return f.h.Statfs(p, &fs) == nil && uint32(fs.Type) == cgroup2Magic
	}
	switch {
	case isV2("/sys/fs/cgroup"):
		return cgroupMount{CgroupUnified, "/sys/fs/cgroup"}
	case isV2("/sys/fs/cgroup/unified"):
		return cgroupMount{CgroupHybrid, "/sys/fs/cgroup/unified"}
	case f.exists("/sys/fs/cgroup/memory") || f.exists("/sys/fs/cgroup/cpu"):
		return cgroupMount{CgroupLegacy, ""}
	}
	return cgroupMount{CgroupAbsent, ""}
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

// UserBus is the socket of a D-Bus that the systemd user manager is on, "" without one:
// what DBUS_SESSION_BUS_ADDRESS names, else "bus" in the runtime directory, also where a
// plain su has not set the environment. Root's services are the system's.
func (f *Facts) UserBus() string {
	for one := range strings.SplitSeq(f.h.Getenv("DBUS_SESSION_BUS_ADDRESS"), ";") {
		path, _, _ := strings.Cut(strings.TrimPrefix(one, "unix:path="), ",")
		if strings.HasPrefix(path, "/") && f.ownSocket(path) {
			return path
		}
	}
	dir := "/run/user/" + strconv.Itoa(f.UID())
	if x := f.h.Getenv("XDG_RUNTIME_DIR"); x != "" && x != dir && f.ownSocket(filepath.Join(x, "bus")) {
		return filepath.Join(x, "bus")
	}
	if f.ownSocket(dir + "/bus") {
		return dir + "/bus"
	}
	if f.UID() == 0 && f.systemd() && f.ownSocket(systemBus) {
		return systemBus
	}
	return ""
}

// systemd tells whether the host was booted with it (sd_booted(3)).
func (f *Facts) systemd() bool {
	return f.booted.get(func() bool { return f.exists("/run/systemd/system") })
}

const systemBus = "/run/dbus/system_bus_socket"

// ownSocket tells whether there is a socket that nobody else can have put there.
func (f *Facts) ownSocket(path string) bool {
	var st unix.Stat_t
	return f.h.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK && int(st.Uid) == f.UID()
}

// Cgroup chooses where a container's cgroup comes from. Path is the bus of a service
// manager that makes one, or a cgroup that is the caller's. Whether the manager will, only asking it
// can tell. pin is the value of --cgroups: a rung, or podman's enabled, no-conmon, split and disabled.
func Cgroup(f *Facts, pin string) (Choice, error) {
	c := Choice{Ladder: "cgroup"}
	var only Rung
	switch pin {
	case "", "auto", "enabled", "no-conmon":
	case "none", "disabled":
		c.Rung, c.Reason = CgroupNone, "asked for"
		return c, nil
	case "systemd":
		only = CgroupSystemd
	case "delegated", "cgroupfs", "split":
		only = CgroupDelegated
	default:
		return c, badPin("--cgroups", pin, "auto", "systemd", "delegated", "none")
	}
	version, root := f.CgroupVersion()
	if root == "" {
		check := f.checkCgroup()
		for _, r := range []Rung{CgroupSystemd, CgroupDelegated} {
			if only == "" || only == r {
				c.miss(r, check.Fact+": "+check.Reason, check.Remedy)
			}
		}
		return c.withoutCgroup(only, pin)
	}
	limits := ""
	if version == CgroupHybrid {
		limits = "; no limits: v1 has the controllers"
	}
	if only != CgroupDelegated {
		if bus := f.UserBus(); bus != "" {
			c.Rung, c.Path, c.Reason = CgroupSystemd, bus, "the service manager there makes a scope for each container"+limits
			return c, nil
		}
		check := f.checkSystemd()
		c.miss(CgroupSystemd, strings.TrimSuffix(check.Fact+": "+check.Reason, ": "), check.Remedy)
	}
	if only != CgroupSystemd {
		own := f.OwnCgroup()
		if own != "" && f.writableCgroup(own) {
			c.Rung, c.Path, c.Reason = CgroupDelegated, own, "it is the caller's"+limits
			return c, nil
		}
		c.miss(CgroupDelegated, "the cgroup that rl runs in is not "+f.User()+"'s", f.ownCgroupRemedy())
	}
	return c.withoutCgroup(only, pin)
}

// withoutCgroup is the last rung, unless another was asked for.
func (c Choice) withoutCgroup(only Rung, pin string) (Choice, error) {
	if only != "" {
		return c, c.pinned("--cgroups=" + pin)
	}
	c.Rung, c.Reason = CgroupNone, "containers share the caller's cgroup: no limits, no pause"
	return c, nil
}

// ownCgroupRemedy is how rl comes to run in a cgroup that is the caller's.
func (f *Facts) ownCgroupRemedy() string {
	if f.systemd() {
		return "as a service, run it with User=" + f.User() + " and Delegate=yes"
	}
	return "give " + f.User() + " a cgroup v2 directory of its own (chown it, its cgroup.procs and its cgroup.subtree_control) and start rl in it"
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
		return missed("no cgroup is delegated to "+f.User(), "limits (memory, cpus, pids) cannot be set", f.DelegateRemedy())
	}
	have := f.Controllers(dir)
	for _, want := range []string{"memory", "pids", "cpu"} {
		if !slices.Contains(have, want) {
			return missed(dir+": "+strings.Join(have, " "), "the controller "+want+" is not delegated", f.DelegateRemedy())
		}
	}
	return ok(dir + ": " + strings.Join(have, " "))
}

// DelegateRemedy is systemd's way of giving all controllers to users.
func (f *Facts) DelegateRemedy() string {
	if !f.systemd() {
		return f.ownCgroupRemedy()
	}
	return "mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload, then log in again"
}

func (f *Facts) checkSystemd() Check {
	if !f.systemd() {
		return info("this host does not run systemd")
	}
	if bus := f.UserBus(); bus != "" {
		return ok("user manager at " + bus)
	}
	return missed("no user manager", "its bus is not in $XDG_RUNTIME_DIR", "log in through PAM (ssh, not su), or loginctl enable-linger "+f.User())
}

func (f *Facts) checkLinger() Check {
	if !f.systemd() {
		return info("this host does not run systemd")
	}
	if f.exists("/var/lib/systemd/linger/" + f.User()) {
		return ok("what " + f.User() + " starts outlives the session")
	}
	return info("what " + f.User() + " starts may end with the session (loginctl enable-linger " + f.User() + ")")
}
