package probe

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The ladder, from the best host to the worst.
func TestCgroup(t *testing.T) {
	const own = "/sys/fs/cgroup/a"
	unified := func(k *fake) { k.files["/sys/fs/cgroup/x"], k.fs = "", cgroup2("/sys/fs/cgroup") }
	mine := func(k *fake) {
		files(own+"/cgroup.procs", "", own+"/cgroup.subtree_control", "", "/proc/self/cgroup", "0::/a\n")(k)
	}
	bus := func(k *fake) { k.socket("/run/user/1000/bus", 1000) }
	all := func(edits ...func(*fake)) func(*fake) {
		return func(k *fake) {
			for _, e := range edits {
				e(k)
			}
		}
	}
	for _, c := range []struct {
		name   string
		edit   func(*fake)
		pin    string
		rung   Rung
		path   string
		missed string // in the first reason or remedy, or in the error
	}{
		{"nothing mounted", func(*fake) {}, "", CgroupNone, "", "nothing is mounted"},
		{"v1", files("/sys/fs/cgroup/memory/x", ""), "auto", CgroupNone, "", "cannot be delegated"},
		{"v1, pinned", files("/sys/fs/cgroup/memory/x", ""), "delegated", "", "", "--cgroups=delegated cannot be had: cgroup v1"},
		{"user manager", all(unified, bus), "", CgroupSystemd, "/run/user/1000/bus", ""},
		{"its bus by the environment", all(unified, func(k *fake) {
			k.socket("/tmp/bus,x", 1000)
			k.socket("/tmp/b", 1000)
			k.env["DBUS_SESSION_BUS_ADDRESS"] = "tcp:host=x;unix:path=/tmp/b,guid=0"
		}), "", CgroupSystemd, "/tmp/b", ""},
		{"somebody else's bus", all(unified, func(k *fake) { k.socket("/run/user/1000/bus", 1001) }), "", CgroupNone, "", "does not run systemd"},
		{"both", all(unified, bus, mine), "enabled", CgroupSystemd, "/run/user/1000/bus", ""},
		{"both, pinned", all(unified, bus, mine), "split", CgroupDelegated, own, ""},
		{"a cgroup of ours", all(unified, mine), "", CgroupDelegated, own, "does not run systemd"},
		{"it is root's", all(unified, files("/proc/self/cgroup", "0::/a\n")), "", CgroupNone, "", "does not run systemd"},
		{"no session", all(unified, files("/run/systemd/system/x", "")), "", CgroupNone, "", "enable-linger"},
		{"hybrid", all(func(k *fake) {
			k.files["/sys/fs/cgroup/unified/x"], k.fs = "", cgroup2("/sys/fs/cgroup/unified")
		}, bus), "", CgroupSystemd, "/run/user/1000/bus", ""},
		{"unwanted", all(unified, bus, mine), "disabled", CgroupNone, "", ""},
		{"pinned", all(unified, mine), "systemd", "", "", "--cgroups=systemd cannot be had"},
		{"no such", unified, "x", "", "", `unknown value "x" for --cgroups`},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := host()
			c.edit(&k)
			got, err := Cgroup(k.facts(t), c.pin)
			if c.rung == "" {
				if err == nil || !strings.Contains(err.Error(), c.missed) {
					t.Fatalf("got %+v, %v; want %q", got, err, c.missed)
				}
				return
			}
			if err != nil || got.Rung != c.rung || got.Path != c.path || got.Reason == "" {
				t.Fatalf("got %+v, %v; want %s %s", got, err, c.rung, c.path)
			}
			var missed Missed
			if len(got.Missed) > 0 {
				missed = got.Missed[0]
			}
			if text := missed.Reason + missed.Remedy; !strings.Contains(text, c.missed) || c.missed == "" && text != "" {
				t.Errorf("missed %+v; want %q", missed, c.missed)
			}
		})
	}
}

// socket puts a socket of somebody's at a path.
func (k *fake) socket(path string, uid uint32) {
	k.files[path] = ""
	before := k.edit
	k.edit = func(h *Host) {
		if before != nil {
			before(h)
		}
		stat := h.Stat
		h.Stat = func(p string, st *unix.Stat_t) error {
			err := stat(p, st)
			if p == path && err == nil {
				st.Mode, st.Uid = unix.S_IFSOCK|0o666, uid
			}
			return err
		}
	}
}
