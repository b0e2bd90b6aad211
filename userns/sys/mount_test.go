package sys

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountFlags(t *testing.T) {
	for flags, want := range map[uintptr]string{
		0:                                 "",
		unix.MS_RDONLY:                    "MS_RDONLY",
		unix.MS_BIND | unix.MS_REC:        "MS_BIND|MS_REC",
		unix.MS_NOSUID | unix.MS_RELATIME: "MS_NOSUID|MS_RELATIME",
		unix.MS_RDONLY | 1<<30:            "MS_RDONLY|0x40000000",
		unix.MS_NOSYMFOLLOW | unix.MS_SLAVE | unix.MS_REC: "MS_NOSYMFOLLOW|MS_REC|MS_SLAVE",
	} {
		if got := MountFlags(flags); got != want {
			t.Errorf("%#x: got %q, want %q", flags, got, want)
		}
	}
}

func TestMountError(t *testing.T) {
	err := error(&MountError{Call: "mount", Source: "/a", Target: "/b", Flags: unix.MS_BIND, Data: strings.Repeat("x", 5000), Log: []string{"said the kernel"}, Err: unix.EPERM})
	text := err.Error()
	for _, want := range []string{"mount from /a on /b flags MS_BIND", "operation not permitted", "said the kernel"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	if len(text) > 500 || !errors.Is(err, unix.EPERM) {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

// Mounting for real needs namespaces: the test runs itself again in some.
func TestMountInNamespace(t *testing.T) {
	const inside = "RL_SYS_MOUNT_TEST"
	if os.Getenv(inside) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestMountInNamespace$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	dir := t.TempDir()
	at := func(name string) string {
		p := filepath.Join(dir, name)
		must(os.MkdirAll(p, 0o755))
		return p
	}

	// A filesystem, by the new calls.
	c, err := Fsopen("tmpfs")
	must(err)
	must(c.Set("size", "1m"))
	must(c.Flag("ro"))
	must(c.Create())
	mnt, err := c.Fsmount(unix.MOUNT_ATTR_NOEXEC)
	must(err)
	must(MoveMount(mnt, at("tmp")))
	must(unix.Close(mnt))
	must(c.Close())
	if err := os.WriteFile(filepath.Join(dir, "tmp/f"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing to a read-only tmpfs: %v", err)
	}
	must(Unmount(at("tmp"), 0))

	// A bind mount, by open_tree and by mount.
	must(os.WriteFile(filepath.Join(at("src"), "f"), []byte("x"), 0o600))
	tree, err := OpenTree(unix.AT_FDCWD, at("src"), unix.OPEN_TREE_CLONE)
	must(err)
	must(MoveMount(tree, at("dst")))
	must(unix.Close(tree))
	must(MountSetattr(unix.AT_FDCWD, at("dst"), 0, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}))
	if err := os.WriteFile(filepath.Join(dir, "dst/f"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing to a read-only bind mount: %v", err)
	}
	must(Unmount(at("dst"), unix.UMOUNT_NOFOLLOW))

	// What the kernel says is in the error.
	c, err = Fsopen("overlay")
	must(err)
	err = c.Set("nonsense", "x")
	var me *MountError
	if !errors.As(err, &me) || len(me.Log) == 0 || !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("an unknown option: %v", err)
	}
	must(c.Close())
	for _, err := range []error{
		Mount("/nowhere", at("dst"), "", unix.MS_BIND, ""), Unmount(filepath.Join(dir, "none"), 0),
		MoveMount(-1, at("dst")), MountSetattr(unix.AT_FDCWD, filepath.Join(dir, "none"), 0, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}),
	} {
		if !errors.As(err, &me) || me.Call == "" {
			t.Errorf("no MountError: %v", err)
		}
	}
	if _, err := Fsopen("no-such-filesystem"); !errors.Is(err, unix.ENODEV) {
		t.Errorf("fsopen: %v", err)
	}
	if _, err := OpenTree(unix.AT_FDCWD, filepath.Join(dir, "none"), 0); !errors.Is(err, unix.ENOENT) {
		t.Errorf("open_tree: %v", err)
	}
}
