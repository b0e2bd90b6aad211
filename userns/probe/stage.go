package probe

import (
	"encoding/json"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// stageEnv names the stage that a re-executed program is to be.
const stageEnv = "_RL_STAGE"

// Main is the body of the stage "probe": the throw-away child of one trial.
// Its arguments are ["rl","__probe",NAME,ARGS...]; it writes one line of JSON.
func Main() int {
	runtime.LockOSThread() // unshare and seccomp are for one thread
	var name string
	var args []string
	if len(os.Args) > 2 {
		name, args = os.Args[2], os.Args[3:]
	}
	t := &test{}
	t.run(name, args)
	if json.NewEncoder(os.Stdout).Encode(t.answer) != nil {
		return 1
	}
	return 0
}

// test collects the answer of a child. The first step that fails ends it.
type test struct{ answer answer }

// do runs a step unless one before it failed, and reports whether to go on.
func (t *test) do(step string, call func() error) bool {
	if t.answer.Step != "" {
		return false
	}
	err := call()
	if err == nil {
		return true
	}
	t.answer.Step = step
	if errno, ok := asErrno(err); ok {
		t.answer.Errno = int(errno)
	} else {
		t.answer.Text = err.Error()
	}
	return false
}

func (t *test) run(name string, args []string) {
	arg := ""
	if len(args) > 0 {
		arg = args[0]
	}
	switch name {
	case "true":
	case "caps":
		t.caps()
	case "ids":
		t.ids()
	case "proc":
		t.proc()
	case "overlay":
		t.overlay(arg)
	case "fuse":
		t.fuse(arg)
	case "tun":
		t.tun()
	case "mount-api":
		t.mountAPI()
	case "seccomp":
		t.do("seccomp", installListener)
	default:
		t.do("probe", func() error { return unix.ENOSYS })
	}
}

// private makes the mounts of the new namespace its own. It is also the first
// use of a capability, which AppArmor on Ubuntu denies after granting the
// namespace itself.
func (t *test) private() bool {
	return t.do("mount", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") })
}

func (t *test) caps() {
	t.private()
	t.do("mount tmpfs", func() error { return unix.Mount("tmpfs", "/proc", "tmpfs", 0, "size=4k") })
}

// ids waits for the map to be written and tells what it became.
func (t *test) ids() {
	t.do("read", func() error { _, err := io.Copy(io.Discard, os.Stdin); return err })
	t.do("setgroups", func() error { return unix.Setgroups([]int{0}) })
	t.do("setgid", func() error { return unix.Setresgid(65534, 65534, 65534) })
	t.do("setuid", func() error { return unix.Setresuid(65534, 65534, 65534) })
}

func (t *test) proc() {
	t.private()
	t.do("mount proc", func() error {
		return unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	})
}

// tun makes a tap device in a network namespace.
func (t *test) tun() {
	t.do("open", func() error {
		fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		ifr, err := unix.NewIfreq("tap0")
		if err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	})
}
