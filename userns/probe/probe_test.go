package probe

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be the throw-away child of its own trials.
func TestMain(m *testing.M) {
	if os.Getenv(stageEnv) == "probe" {
		os.Exit(Main())
	}
	if os.Getenv(sceneEnv) != "" {
		os.Exit(playScene())
	}
	os.Exit(m.Run())
}

// here is this machine, with trials.
func here() *Facts { return New(Host{Exe: "/proc/self/exe"}) }

// fake describes a machine for a test. Files go below a root of its own.
type fake struct {
	uid   int
	caps  uint64
	nnp   bool
	files map[string]string // path to content; "-> X" makes a link
	env   map[string]string
	fs    map[string]unix.Statfs_t // by path; others are ext4
	setid map[string]uint32        // path to mode, owned by root
	edit  func(*Host)
}

// host is a plain host with one ordinary user, ann, who has subordinate ids.
func host() fake {
	return fake{
		uid: 1000,
		files: map[string]string{
			"/etc/passwd":        "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
			"/etc/subuid":        "ann:100000:65536\n",
			"/etc/subgid":        "ann:100000:65536\n",
			"/proc/self/ns/user": "-> user:[4026531837]",
			"/usr/bin/newuidmap": "", "/usr/bin/newgidmap": "",
			"/home/ann/.keep": "",
		},
		env:   map[string]string{"PATH": "/usr/bin", "HOME": "/home/ann"},
		setid: map[string]uint32{"/usr/bin/newuidmap": 0o104755, "/usr/bin/newgidmap": 0o104755},
	}
}

func (k fake) facts(t *testing.T) *Facts {
	t.Helper()
	root := t.TempDir()
	for _, d := range []string{"/tmp", "/var/tmp"} {
		must(t, os.MkdirAll(root+d, 0o700))
		must(t, os.Chmod(root+d, 0o777|os.ModeSticky))
	}
	for p, text := range k.files {
		if text == "(none)" {
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(root+p), 0o755))
		if len(text) > 3 && text[:3] == "-> " {
			must(t, os.Symlink(text[3:], root+p))
			continue
		}
		must(t, os.WriteFile(root+p, []byte(text), 0o755))
	}
	me := uint32(os.Geteuid())
	owner := func(st *unix.Stat_t) { // the files are the test's own; tell them as the fake user's
		if st.Uid == me {
			st.Uid = uint32(k.uid)
		}
	}
	h := Host{
		Root:   root,
		IDs:    func() (int, int) { return k.uid, k.uid },
		Getenv: func(s string) string { return k.env[s] },
		Caps:   func() (uint64, error) { return k.caps, nil },
		Lstat: func(p string, st *unix.Stat_t) error {
			err := unix.Lstat(root+p, st)
			owner(st)
			return err
		},
		Stat: func(p string, st *unix.Stat_t) error {
			err := unix.Stat(root+p, st)
			owner(st)
			if m, ok := k.setid[p]; ok {
				st.Mode, st.Uid = m, 0
			}
			return err
		},
		Statfs: func(p string, st *unix.Statfs_t) error {
			if err := unix.Statfs(root+p, st); err != nil {
				return err
			}
			st.Type, st.Flags = 0xEF53, 0
			if f, ok := k.fs[p]; ok {
				st.Type, st.Flags = f.Type, f.Flags
			}
			return nil
		},
		Xattr:      func(string, string, []byte) (int, error) { return 0, unix.ENODATA },
		Bounding:   func(uintptr) bool { return true },
		NoNewPrivs: func() bool { return k.nnp },
		Run:        func(string, ...string) (string, error) { return "", unix.ENOENT },
		Try:        func(Trial) Outcome { return Outcome{} },
	}
	if k.edit != nil {
		k.edit(&h)
	}
	return New(h)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
