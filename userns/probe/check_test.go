package probe

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// try answers the trial called name with o, and all others with success.
func try(name string, o Outcome) func(*fake) {
	return func(k *fake) {
		k.edit = func(h *Host) {
			h.Try = func(tr Trial) Outcome {
				if tr.Name == name {
					return o
				}
				return Outcome{}
			}
		}
	}
}

func dir(d DirTrial) func(*fake) {
	return func(k *fake) { k.edit = func(h *Host) { h.TryDir = func(string) DirTrial { return d } } }
}

func statfs(edit func(*unix.Statfs_t)) func(*fake) {
	return func(k *fake) {
		k.edit = func(h *Host) {
			old := h.Statfs
			h.Statfs = func(p string, st *unix.Statfs_t) error { err := old(p, st); edit(st); return err }
			h.TryDir = func(string) DirTrial { return DirTrial{} }
		}
	}
}

func files(list ...string) func(*fake) {
	return func(k *fake) {
		for i := 0; i < len(list); i += 2 {
			k.files[list[i]] = list[i+1]
		}
	}
}

func cgroup2(at string) map[string]unix.Statfs_t {
	return map[string]unix.Statfs_t{at: {Type: cgroup2Magic}}
}

// Each check, made to say what it can say.
func TestChecks(t *testing.T) {
	const own = "/sys/fs/cgroup/a"
	for _, c := range []struct {
		check  string
		edit   func(*fake)
		status Status
		want   string // somewhere in fact, reason or remedy
	}{
		{"userns", nil, StatusOK, "can be created and used"},
		{"userns", try("caps", Outcome{Step: "mount", Err: unix.EACCES}), StatusFailed, "created, but not used (mount)"},
		{"userns", try("caps", Outcome{Step: "start", Err: unix.EPERM}), StatusFailed, "created, but not used (map)"},
		{"userns", try("true", Outcome{Step: "start", Err: errNoStage}), StatusFailed, "cannot be tried"},
		{"userns-limit", files("/proc/sys/user/max_user_namespaces", "0"), StatusFailed, "28633"},
		{"userns-limit", files("/proc/sys/user/max_user_namespaces", "96365"), StatusInfo, "at most 96365"},
		{"userns-limit", nil, StatusInfo, "no limit"},
		{"netns", nil, StatusOK, ""},
		{"netns", func(k *fake) { // user namespaces work, network namespaces do not
			files("/proc/sys/user/max_net_namespaces", "0")(k)
			k.edit = func(h *Host) {
				h.Try = func(tr Trial) Outcome {
					if tr.Flags&nsNet != 0 {
						return Outcome{Step: "start", Err: unix.ENOSPC}
					}
					return Outcome{}
				}
			}
		}, StatusFailed, "user.max_net_namespaces=63414"},
		{"pidns", try("true", Outcome{Step: "start", Err: unix.EPERM}), StatusFailed, "user namespaces cannot be created"},
		{"subuid", nil, StatusOK, "100000-165535 (/etc/subuid)"},
		{"subuid", files("/etc/subuid", ""), StatusMissed, "usermod"},
		{"subgid", files("/etc/subgid", "ann:1:2"), StatusMissed, "only 2 subordinate group ids"},
		{"newuidmap", nil, StatusOK, "/usr/bin/newuidmap"},
		{"newgidmap", files("/usr/bin/newgidmap", "(none)"), StatusMissed, "not installed"},
		{"newuidmap", func(k *fake) { k.setid["/usr/bin/newuidmap"] = 0o100755 }, StatusMissed, "of no use"},
		{"subids", nil, StatusOK, "write the map"},
		{"subids", try("ids", Outcome{Step: "/usr/bin/newuidmap", Err: errors.New("uid range [1-65537) -> [100000-165536) not allowed")}), StatusMissed, "not allowed"},
		{"subids", try("ids", Outcome{Step: "setgroups", Err: unix.EPERM}), StatusMissed, "setgroups"},
		{"subids", try("ids", Outcome{Step: "start", Err: unix.EPERM}), StatusMissed, "not tried"},
		{"setgroups", func(k *fake) { k.inside("0 1000 1\n", "deny") }, StatusMissed, "denied"},
		{"proc", try("proc", Outcome{Step: "mount proc", Err: unix.EPERM}), StatusMissed, "unmask=ALL"},
		{"overlay", try("overlay", Outcome{Step: "mount overlay", Err: unix.ENODEV}), StatusMissed, "modprobe overlay"},
		{"overlay", try("overlay", Outcome{Step: "mount overlay", Err: unix.EPERM}), StatusMissed, "5.11"},
		{"overlay", try("overlay", Outcome{Step: "mount overlay", Err: unix.EINVAL}), StatusMissed, "refuses the store's filesystem (ext4)"},
		{"overlay", try("overlay", Outcome{Step: "opaque directory", Err: errors.New("a removed file shows again")}), StatusMissed, "shows again"},
		{"mount-api", nil, StatusOK, "lowerdir+"},
		{"mount-api", try("mount-api", Outcome{Step: "fsopen", Err: unix.ENOSYS}), StatusInfo, "fsopen"},
		{"fuse", nil, StatusOK, "FUSE"},
		{"fuse", try("fuse", Outcome{Step: "open", Err: unix.EACCES}), StatusMissed, "chmod 0666 /dev/fuse"},
		{"fuse", try("fuse", Outcome{Step: "open", Err: unix.ENOENT}), StatusMissed, "modprobe fuse"},
		{"tun", try("tun", Outcome{Step: "open", Err: unix.EPERM}), StatusMissed, "--device /dev/net/tun"},
		{"tun", try("tun", Outcome{Step: "open", Err: unix.ENODEV}), StatusMissed, "modprobe tun"},
		{"seccomp", nil, StatusOK, "notification"},
		{"seccomp", try("seccomp", Outcome{Step: "seccomp", Err: unix.EBUSY}), StatusMissed, "listens already"},
		{"seccomp", try("seccomp", Outcome{Step: "seccomp", Err: unix.EINVAL}), StatusMissed, "5.0"},
		{"no-new-privs", func(k *fake) { k.nnp = true }, StatusMissed, "newuidmap"},
		{"nested", nil, StatusInfo, "in no container"},
		{"nested", files("/run/.containerenv", ""), StatusInfo, "inside podman"},
		{"nested", files("/.dockerenv", ""), StatusInfo, "inside docker"},
		{"nested", files("/proc/self/cgroup", "0::/kubepods/x\n"), StatusInfo, "inside kubernetes"},
		{"nested", func(k *fake) { k.env["APPTAINER_CONTAINER"] = "x.sif" }, StatusInfo, "inside apptainer"},
		{"nested", func(k *fake) { k.inside("0 1000 1\n", "deny") }, StatusInfo, "in a user namespace with 1 id"},
		{"lsm", files("/sys/fs/selinux/enforce", "1", "/proc/sys/kernel/yama/ptrace_scope", "1"), StatusInfo, "SELinux enforcing; Yama"},
		{"home", nil, StatusInfo, "/home/ann: ext4"},
		{"home", func(k *fake) { k.env["HOME"] = "/nonexistent" }, StatusMissed, "does not exist"},
		{"store", nil, StatusOK, "/home/ann/.local/share/rl: ext4"},
		{"store", dir(DirTrial{Xattr: unix.EOPNOTSUPP}), StatusMissed, "user xattrs do not work"},
		{"store", dir(DirTrial{Flock: errors.New("locks are granted twice")}), StatusFailed, "granted twice"},
		{"store", dir(DirTrial{Write: unix.ENOSPC}), StatusFailed, "no space left"},
		{"store", statfs(func(st *unix.Statfs_t) { st.Bavail = 10 }), StatusMissed, "little space"},
		{"store", statfs(func(st *unix.Statfs_t) { st.Files, st.Ffree = 100, 10 }), StatusMissed, "few inodes"},
		{"store", statfs(func(st *unix.Statfs_t) { st.Flags = unix.ST_NOEXEC }), StatusMissed, "noexec"},
		{"store", func(k *fake) { k.env["RL_ROOT"] = "x" }, StatusFailed, "RL_ROOT is the relative path"},
		{"store", func(k *fake) { k.fs = map[string]unix.Statfs_t{"/home/ann": {Type: 0x0BD00BD0}} }, StatusMissed, "on lustre"},
		{"runtime", nil, StatusOK, "/tmp/rl-1000"},
		{"runtime", files("/tmp/rl-1000", "-> /etc"), StatusFailed, "symbolic link"},
		{"xdg-runtime", nil, StatusMissed, "loginctl enable-linger ann"},
		{"cgroup", nil, StatusMissed, "nothing is mounted"},
		{"cgroup", files("/sys/fs/cgroup/memory/x", ""), StatusMissed, "cgroup v1"},
		{"cgroup", func(k *fake) { files("/sys/fs/cgroup/x", "")(k); k.fs = cgroup2("/sys/fs/cgroup") }, StatusOK, "cgroup v2"},
		{"cgroup", func(k *fake) { files("/sys/fs/cgroup/unified/x", "")(k); k.fs = cgroup2("/sys/fs/cgroup/unified") }, StatusMissed, "with v2 beside it"},
		{"delegation", nil, StatusMissed, "no cgroup is delegated to ann"},
		{"delegation", files("/run/systemd/system/x", ""), StatusMissed, "Delegate=cpu"},
		{"delegation", func(k *fake) {
			files(own+"/cgroup.procs", "", own+"/cgroup.subtree_control", "", own+"/cgroup.controllers", "cpu memory pids\n", "/proc/self/cgroup", "0::/a\n")(k)
			k.fs = cgroup2("/sys/fs/cgroup")
		}, StatusOK, own + ": cpu memory pids"},
		{"delegation", func(k *fake) {
			files(own+"/cgroup.procs", "", own+"/cgroup.subtree_control", "", own+"/cgroup.controllers", "memory pids\n", "/proc/self/cgroup", "0::/a\n")(k)
			k.fs = cgroup2("/sys/fs/cgroup")
		}, StatusMissed, "the controller cpu is not delegated"},
		{"systemd", nil, StatusInfo, "does not run systemd"},
		{"systemd", files("/run/systemd/system/x", ""), StatusMissed, "no user manager"},
		{"linger", files("/run/systemd/system/x", "", "/var/lib/systemd/linger/ann", ""), StatusOK, "outlives"},
		{"ping", files("/proc/sys/net/ipv4/ping_group_range", "1\t0\n"), StatusMissed, "0 2147483647"},
		{"ping", files("/proc/sys/net/ipv4/ping_group_range", "0\t2147483647\n"), StatusOK, "may ping"},
		{"ports", files("/proc/sys/net/ipv4/ip_unprivileged_port_start", "80"), StatusInfo, "ports from 80 on"},
		{"limits", func(k *fake) {
			k.edit = func(h *Host) { h.Rlimit = func(int) (uint64, uint64, error) { return 256, 1024, nil } }
		},
			StatusMissed, "few files may be open (256/1024)"},
		{"terminal", func(k *fake) {
			k.env["TERM"] = "xterm"
			k.edit = func(h *Host) { h.Terminal = func(fd int) bool { return fd != 0 } }
		}, StatusInfo, "output, errors (TERM=xterm)"},
		{"distribution", files("/etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12\"\n"), StatusInfo, "Debian GNU/Linux 12"},
		{"nonsense", nil, StatusFailed, "no such check"},
	} {
		t.Run(c.check+" "+c.want, func(t *testing.T) {
			k := host()
			if c.edit != nil {
				c.edit(&k)
			}
			got := k.facts(t).Check(c.check)
			all := got.Fact + " | " + got.Reason + " | " + got.Remedy
			if got.Status != c.status || !strings.Contains(all, c.want) || got.Name != c.check {
				t.Errorf("%s %s; want %s %q", got.Status, all, c.status, c.want)
			}
		})
	}
}

// A report holds every check and every ladder, says why of all that is not
// well, and survives JSON. So it does on a host where nothing works at all.
func TestDoctor(t *testing.T) {
	bad := host()
	bad.env, bad.files = map[string]string{}, map[string]string{}
	bad.edit = func(h *Host) {
		h.Try = func(Trial) Outcome { return Outcome{Step: "start", Err: unix.EPERM} }
		h.Mkdir = func(string, uint32) error { return unix.EROFS }
		h.TryDir = func(string) DirTrial { return DirTrial{unix.EROFS, unix.EROFS, unix.EROFS} }
	}
	for name, k := range map[string]fake{"good": host(), "bad": bad} {
		t.Run(name, func(t *testing.T) {
			r := Doctor(k.facts(t), Pins{})
			if r.Healthy() != (name == "good") {
				t.Errorf("healthy: %v", r.Healthy())
			}
			if len(r.Checks) != len(Names()) || len(r.Choices) != 7 {
				t.Errorf("%d checks of %d, %d choices", len(r.Checks), len(Names()), len(r.Choices))
			}
			for _, c := range r.Checks {
				if c.Name == "" || c.Fact == "" {
					t.Errorf("says nothing: %+v", c)
				}
				if (c.Status == StatusMissed || c.Status == StatusFailed) && c.Reason == "" {
					t.Errorf("no reason: %+v", c)
				}
			}
			raw, err := json.Marshal(r)
			must(t, err)
			var back Report
			must(t, json.Unmarshal(raw, &back))
			if len(back.Checks) != len(r.Checks) || back.Choices[0].Ladder != "identity" {
				t.Errorf("%+v", back)
			}
		})
	}
}
