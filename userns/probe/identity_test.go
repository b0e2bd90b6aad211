package probe

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

const allCaps = 1<<41 - 1

func TestIdentity(t *testing.T) {
	nested := "         0       1000          1\n         1     100000      65536\n"
	for _, c := range []struct {
		name   string
		edit   func(k *fake)
		rung   Rung
		reason string // of the last rung that was missed
		remedy string
	}{
		{"ordinary user with ids", func(k *fake) {}, Subordinate, "uid 1000 may map only itself", ""},
		{"by number", func(k *fake) { k.files["/etc/subuid"] = "1000:100000:65536" }, Subordinate, "may map only itself", ""},
		{"root", func(k *fake) { k.uid, k.caps = 0, allCaps }, Straight, "", ""},
		{"root without setfcap", func(k *fake) { k.uid, k.caps = 0, allCaps&^(1<<unix.CAP_SETFCAP); k.files["/etc/subuid"] = "" },
			Single, "no subordinate user ids", "usermod"},
		{"root in a container", func(k *fake) {
			k.uid, k.caps = 0, allCaps
			k.inside(nested, "allow")
		}, Straight, "", ""},
		{"root of one id", func(k *fake) {
			k.uid, k.caps = 0, allCaps
			k.inside("         0       1000          1\n", "deny")
			k.files["/etc/subuid"] = ""
		}, Single, "no subordinate user ids", "give the outer container more ids"},
		{"root of many ids, setgroups denied", func(k *fake) {
			k.uid, k.caps = 0, allCaps
			k.inside(nested, "deny")
			k.files["/etc/subuid"], k.files["/etc/subgid"] = "root:1:65535", "root:1:65535"
		}, Single, "setgroups is denied", ""},
		{"user in a container, ids that are not there", func(k *fake) { k.inside(nested, "allow") },
			Single, "ids 100000-165535 of /etc/subuid do not exist in this user namespace", "give the outer container more ids"},
		{"no subuid file", func(k *fake) { k.files["/etc/subuid"] = "(none)" },
			Single, "/etc/subuid gives ann no subordinate user ids", "usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann"},
		{"no subgid line", func(k *fake) { k.files["/etc/subgid"] = "bob:100000:65536" },
			Single, "/etc/subgid gives ann no subordinate group ids", "usermod --add-subuids 165536-231071"},
		{"too few ids", func(k *fake) { k.files["/etc/subuid"] = "ann:100000:1000" },
			Single, "only 1000 subordinate user ids", "usermod"},
		{"a broken line", func(k *fake) { k.files["/etc/subuid"] = "ann:x:65536" }, Single, "line 1", "usermod"},
		{"no newuidmap", func(k *fake) {
			k.files["/usr/bin/newuidmap"] = "(none)"
			k.files["/etc/os-release"] = "ID=ubuntu\nID_LIKE=debian\n"
		}, Single, "newuidmap is not installed", "apt-get install uidmap"},
		{"no newgidmap on Rocky", func(k *fake) {
			k.files["/usr/bin/newgidmap"] = "(none)"
			k.files["/etc/os-release"] = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"
		}, Single, "newgidmap is not installed", "dnf install shadow-utils"},
		{"not setuid", func(k *fake) { k.setid["/usr/bin/newuidmap"] = 0o100755 },
			Single, "neither setuid root nor has CAP_SETUID", "chmod u+s /usr/bin/newuidmap"},
		{"file capability", func(k *fake) {
			k.setid["/usr/bin/newuidmap"], k.setid["/usr/bin/newgidmap"] = 0o100755, 0o100755
			k.edit = func(h *Host) { h.Xattr = fileCaps(unix.CAP_SETUID, unix.CAP_SETGID) }
		}, Subordinate, "may map only itself", ""},
		{"the wrong file capability", func(k *fake) {
			k.setid["/usr/bin/newuidmap"] = 0o100755
			k.edit = func(h *Host) { h.Xattr = fileCaps(unix.CAP_NET_RAW) }
		}, Single, "neither setuid", ""},
		{"nosuid mount", func(k *fake) {
			k.fs = map[string]unix.Statfs_t{"/usr/bin/newuidmap": {Type: 0xEF53, Flags: unix.ST_NOSUID}}
		}, Single, "mounted nosuid", "mount it without nosuid"},
		{"no_new_privs", func(k *fake) { k.nnp = true }, Single, "no_new_privs is set", "outside"},
		{"bounding set", func(k *fake) {
			k.edit = func(h *Host) { h.Bounding = func(c uintptr) bool { return c != unix.CAP_SETUID } }
		},
			Single, "CAP_SETUID was taken out of the bounding set", "--cap-add SETUID"},
		{"a second, usable newuidmap", func(k *fake) {
			k.setid["/usr/bin/newuidmap"] = 0o100755
			k.files["/run/wrappers/bin/newuidmap"] = ""
			k.setid["/run/wrappers/bin/newuidmap"] = 0o104511
		}, Subordinate, "may map only itself", ""},
		{"NSS module without getsubids", func(k *fake) { k.files["/etc/nsswitch.conf"] = "passwd: files\nsubid: sss\n" },
			Single, "getsubids is not installed", "administrator of sss"},
		{"NSS module", func(k *fake) { k.nss("0: ann 2000000 65536\n", nil) }, Subordinate, "may map only itself", ""},
		{"NSS module that fails", func(k *fake) { k.nss("", errors.New("Error fetching ranges")) },
			Single, "Error fetching ranges", "administrator of sss"},
		{"NSS files", func(k *fake) { k.files["/etc/nsswitch.conf"] = "subid: files\n" }, Subordinate, "may map only itself", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := host()
			c.edit(&k)
			got, err := Identity(k.facts(t), "")
			if err != nil || got.Rung != c.rung {
				t.Fatalf("got %+v, %v; want %s", got, err, c.rung)
			}
			var last Missed
			if n := len(got.Missed); n > 0 {
				last = got.Missed[n-1]
			}
			if !strings.Contains(last.Reason, c.reason) || !strings.Contains(last.Remedy, c.remedy) || c.reason == "" && last.Reason != "" {
				t.Errorf("missed %+v; want %q, %q", last, c.reason, c.remedy)
			}
			if got.Reason == "" {
				t.Error("a choice without a reason")
			}
		})
	}
}

// inside puts the fake user into a user namespace.
func (k *fake) inside(table, setgroups string) {
	k.files["/proc/self/ns/user"] = "-> user:[4026532000]"
	k.files["/proc/self/uid_map"], k.files["/proc/self/gid_map"] = table, table
	k.files["/proc/self/setgroups"] = setgroups + "\n"
}

func (k *fake) nss(out string, err error) {
	k.files["/etc/nsswitch.conf"] = "subid: sss\n"
	k.files["/usr/bin/getsubids"] = ""
	k.edit = func(h *Host) { h.Run = func(string, ...string) (string, error) { return out, err } }
}

func fileCaps(caps ...int) func(string, string, []byte) (int, error) {
	return func(_, _ string, buf []byte) (int, error) {
		v := []byte{1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		for _, c := range caps {
			v[4+c/8] |= 1 << (c % 8)
		}
		return copy(buf, v), nil
	}
}

func TestIdentityPins(t *testing.T) {
	for _, c := range []struct {
		pin, uid string
		rung     Rung
		err      string
	}{
		{"auto", "user", Subordinate, ""},
		{"keep-id", "user", Subordinate, ""},
		{"subids", "user", Subordinate, ""},
		{"single", "user", Single, ""},
		{"straight", "user", "", "--userns straight cannot be had: uid 1000 may map only itself"},
		{"host", "root", Straight, ""},
		{"single", "root", Single, ""},
		{"subids", "root", "", "/etc/subuid gives root no subordinate user ids"},
		{"sbuids", "user", "", `unknown value "sbuids" for --userns`},
	} {
		k := host()
		if c.uid == "root" {
			k.uid, k.caps = 0, allCaps
		}
		got, err := Identity(k.facts(t), c.pin)
		if c.err == "" {
			if err != nil || got.Rung != c.rung {
				t.Errorf("%s as %s: %+v, %v", c.pin, c.uid, got, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s as %s: %v; want %q", c.pin, c.uid, err, c.err)
		}
		var fe *fault.Error
		if !errors.As(err, &fe) {
			t.Errorf("%s: %v is not a fault", c.pin, err)
		}
	}
}

func TestOtherLadders(t *testing.T) {
	f := host().facts(t)
	for _, c := range []struct {
		climb func(*Facts, string) (Choice, error)
		pin   string
		rung  Rung
		err   string
	}{
		{Network, "none", NetNone, ""}, {Network, "host", NetHost, ""}, {Network, "ns", "", "cannot do that yet"}, {Network, "x", "", "unknown value"},
		{Cgroup, "", CgroupNone, ""}, {Cgroup, "disabled", CgroupNone, ""}, {Cgroup, "systemd", "", "--cgroups=systemd cannot be had: no cgroups"}, {Cgroup, "x", "", "unknown value"},
		{Proc, "", ProcFresh, ""}, {Proc, "bind", ProcBind, ""}, {Proc, "x", "", "unknown value"},
		{Rootfs, "", Overlay, ""}, {Rootfs, "copy", Copy, ""}, {Rootfs, "x", "", "unknown value"},
	} {
		got, err := c.climb(f, c.pin)
		if c.err == "" && (err != nil || got.Rung != c.rung || got.Reason == "") {
			t.Errorf("%q: %+v, %v; want %s", c.pin, got, err, c.rung)
		}
		if c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%q: %v; want %q", c.pin, err, c.err)
		}
	}
}

// A refused procfs or overlay is the next rung down, and an error when it was
// asked for by name.
func TestRefusedMounts(t *testing.T) {
	k := host()
	k.edit = func(h *Host) {
		h.Try = func(tr Trial) Outcome {
			if tr.Name == "overlay" {
				return Outcome{Step: "mount overlay", Err: unix.EPERM}
			}
			return Outcome{Step: "mount proc", Err: unix.EPERM}
		}
	}
	f := k.facts(t)
	c, err := Proc(f, "")
	if err != nil || c.Rung != ProcBind || len(c.Missed) != 1 || !strings.Contains(c.Missed[0].Remedy, "unmask=ALL") {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := Proc(f, "fresh"); err == nil {
		t.Error("a fresh /proc that cannot be had is no error")
	}
	c, err = Rootfs(f, "")
	if err != nil || c.Rung != Copy || len(c.Missed) != 2 || !strings.Contains(c.Missed[0].Reason, "does not allow overlayfs") {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := Rootfs(f, "overlay"); err == nil {
		t.Error("an overlay that cannot be had is no error")
	}
}
