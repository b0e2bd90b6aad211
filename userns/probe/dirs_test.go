package probe

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestStore(t *testing.T) {
	nfs := unix.Statfs_t{Type: 0x6969}
	fuse := unix.Statfs_t{Type: 0x65735546}
	for _, c := range []struct {
		name    string
		edit    func(k *fake)
		path    string
		missing string // in the reasons of what was missed
	}{
		{"home", func(k *fake) {}, "/home/ann/.local/share/rl", ""},
		{"xdg", func(k *fake) { k.env["XDG_DATA_HOME"] = "/home/ann/data" }, "/home/ann/data/rl", ""},
		{"relative xdg", func(k *fake) { k.env["XDG_DATA_HOME"] = "data" }, "/home/ann/.local/share/rl", ""},
		{"RL_ROOT", func(k *fake) { k.env["RL_ROOT"] = "/home/ann/x/" }, "/home/ann/x", ""},
		{"home from passwd", func(k *fake) { delete(k.env, "HOME") }, "/home/ann/.local/share/rl", ""},
		{"NFS", func(k *fake) { k.fs = map[string]unix.Statfs_t{"/home/ann": nfs} }, "/var/tmp/rl-1000", "on nfs, which cannot hold an overlay"},
		{"FUSE", func(k *fake) { k.fs = map[string]unix.Statfs_t{"/home/ann": fuse} }, "/var/tmp/rl-1000", "on fuse"},
		{"NFS named by RL_ROOT", func(k *fake) {
			k.env["RL_ROOT"] = "/home/ann"
			k.fs = map[string]unix.Statfs_t{"/home/ann": nfs}
		}, "/home/ann", ""},
		{"no xattrs", func(k *fake) {
			k.fs = map[string]unix.Statfs_t{"/home/ann": {Type: 0x01021994}}
			k.edit = func(h *Host) {
				h.Xattr = func(string, string, []byte) (int, error) { return 0, unix.EOPNOTSUPP }
			}
		}, "/var/tmp/rl-1000", "on tmpfs, which has no user xattrs"},
		{"no good place at all", func(k *fake) {
			k.fs = map[string]unix.Statfs_t{"/home/ann": nfs, "/var/tmp/rl-1000": nfs, "/tmp/rl-1000/store": nfs}
		}, "/home/ann/.local/share/rl", "/tmp/rl-1000/store: on nfs"},
		{"/var/tmp taken by another", func(k *fake) {
			k.fs = map[string]unix.Statfs_t{"/home/ann": nfs}
			k.files["/var/tmp/rl-1000"] = "-> /home/ann"
		}, "/tmp/rl-1000/store", "/var/tmp/rl-1000 is a symbolic link"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := host()
			c.edit(&k)
			f := k.facts(t)
			got, err := Store(f)
			if err != nil || got.Path != c.path || got.Reason == "" {
				t.Fatalf("got %+v, %v; want %s", got, err, c.path)
			}
			if !strings.Contains(got.reasons(), c.missing) || c.missing == "" && len(got.Missed) > 0 {
				t.Errorf("missed %q; want %q", got.reasons(), c.missing)
			}
		})
	}
}

func TestStoreErrors(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(k *fake)
		want string
	}{
		"relative": {func(k *fake) { k.env["RL_ROOT"] = "x" }, `RL_ROOT is the relative path "x"`},
		"read-only": {func(k *fake) {
			k.env["RL_ROOT"] = "/home/ann"
			k.fs = map[string]unix.Statfs_t{"/home/ann": {Type: 0xEF53, Flags: unix.ST_RDONLY}}
		}, "RL_ROOT=/home/ann: mounted read-only"},
		"no home":                {func(k *fake) { delete(k.env, "HOME"); k.files["/etc/passwd"] = "" }, "no home directory"},
		"home that is not there": {func(k *fake) { k.env["HOME"] = "/nonexistent" }, "/nonexistent does not exist"},
		"home that is read-only": {func(k *fake) {
			k.fs = map[string]unix.Statfs_t{"/home/ann": {Type: 0xEF53, Flags: unix.ST_RDONLY}}
		}, "mounted read-only"},
		"not writable": {func(k *fake) {
			k.edit = func(h *Host) {
				h.Access = func(p string, _ uint32) error {
					if p == "/home/ann" {
						return unix.EACCES
					}
					return nil
				}
			}
		}, "cannot be made: /home/ann: permission denied"},
		"sudo with the user's home": {func(k *fake) {
			k.uid, k.caps = 0, allCaps
			k.setid["/home/ann"] = 0o40755
			k.edit = func(h *Host) {
				stat := h.Stat
				h.Stat = func(p string, st *unix.Stat_t) error {
					err := stat(p, st)
					if p == "/home/ann" {
						st.Uid = 1000
					}
					return err
				}
			}
		}, "belongs to uid 1000, not to root"},
	} {
		k := host()
		c.edit(&k)
		if got, err := Store(k.facts(t)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v; want %q", name, got, err, c.want)
		}
	}
}

func TestRuntime(t *testing.T) {
	for _, c := range []struct {
		name    string
		edit    func(k *fake)
		prepare func(root string) error
		path    string // "" for an error
		missing string
	}{
		{"xdg", func(k *fake) {}, nil, "/run/user/1000/rl", ""},
		{"unset", func(k *fake) { delete(k.env, "XDG_RUNTIME_DIR") }, nil, "/tmp/rl-1000", "XDG_RUNTIME_DIR is not set"},
		{"missing", func(k *fake) { k.env["XDG_RUNTIME_DIR"] = "/run/user/7" }, nil, "/tmp/rl-1000", "/run/user/7: no such file"},
		{"relative", func(k *fake) { k.env["XDG_RUNTIME_DIR"] = "x" }, nil, "/tmp/rl-1000", "relative path"},
		{"open to others", func(k *fake) {}, func(r string) error { return os.Chmod(r+"/run/user/1000", 0o755) }, "/tmp/rl-1000", "open to others (mode 0755)"},
		{"somebody else's", func(k *fake) {
			k.edit = func(h *Host) {
				lstat := h.Lstat
				h.Lstat = func(p string, st *unix.Stat_t) error {
					err := lstat(p, st)
					if strings.HasPrefix(p, "/run") {
						st.Uid = 0
					}
					return err
				}
			}
		}, nil, "/tmp/rl-1000", "belongs to uid 0, not to uid 1000"},
		{"rl in it is open", func(k *fake) {}, func(r string) error {
			return os.Mkdir(r+"/run/user/1000/rl", 0o755)
		}, "/tmp/rl-1000", "/run/user/1000/rl is open"},
		{"a link in /tmp", func(k *fake) { delete(k.env, "XDG_RUNTIME_DIR") }, func(r string) error {
			return os.Symlink("/etc", r+"/tmp/rl-1000")
		}, "", "is a symbolic link, which is not trusted"},
		{"a file in /tmp", func(k *fake) { delete(k.env, "XDG_RUNTIME_DIR") }, func(r string) error {
			return os.WriteFile(r+"/tmp/rl-1000", nil, 0o600)
		}, "", "is not a directory"},
		{"/tmp is not sticky", func(k *fake) { delete(k.env, "XDG_RUNTIME_DIR") }, func(r string) error {
			return os.Chmod(r+"/tmp", 0o777)
		}, "", "it is not sticky"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := host()
			k.env["XDG_RUNTIME_DIR"] = "/run/user/1000"
			c.edit(&k)
			f := k.facts(t)
			must(t, os.MkdirAll(f.h.Root+"/run/user/1000", 0o700))
			if c.prepare != nil {
				must(t, c.prepare(f.h.Root))
			}
			got, err := Runtime(f)
			if got.Path != c.path || (err != nil) != (c.path == "") {
				t.Fatalf("got %+v, %v; want %s", got, err, c.path)
			}
			if !strings.Contains(got.reasons(), c.missing) {
				t.Errorf("missed %q; want %q", got.reasons(), c.missing)
			}
			if err == nil {
				st, err := os.Lstat(f.h.Root + c.path)
				if err != nil || st.Mode().Perm() != 0o700 {
					t.Errorf("%v %v", st.Mode(), err)
				}
			}
		})
	}
}
