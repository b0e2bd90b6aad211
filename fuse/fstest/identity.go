package fstest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// identity is who a case runs as, in ids of the user namespace.
type identity struct {
	name     string
	uid, gid int
	root     bool // has every capability in the namespace
	ids      bool // the namespace maps more than one id
}

// An ordinary user, and another one, where several ids are mapped.
const (
	userID  = 1000
	otherID = 2000
)

// identities are those this namespace has: its root, and somebody without any
// privilege. With a single id that is the same id with all capabilities dropped.
func identities() ([]identity, error) {
	many, err := manyIDs()
	if err != nil {
		return nil, err
	}
	user := identity{name: "user", uid: userID, gid: userID, ids: true}
	if !many {
		user = identity{name: "user", uid: 0, gid: 0}
	}
	return []identity{{name: "root", root: true, ids: many}, user}, nil
}

// SingleID tells whether the namespace maps one id only.
func SingleID(t testing.TB) bool {
	t.Helper()
	many, err := manyIDs()
	if err != nil {
		t.Fatal(err)
	}
	return !many
}

func manyIDs() (bool, error) {
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false, err
	}
	fields := strings.Fields(string(data))
	return len(fields) > 3 || len(fields) == 3 && fields[2] != "1", nil
}

// become makes the calling thread that identity, for good: the goroutine must
// end without unlocking it. Raw calls, because the wrappers of package syscall
// change all threads of the process, as POSIX has it.
func (id identity) become() error {
	runtime.LockOSThread()
	if id.root {
		return nil
	}
	raw := func(name string, number uintptr, a, b, c uintptr) error {
		if _, _, errno := unix.RawSyscall(number, a, b, c); errno != 0 {
			return fmt.Errorf("%s: %w", name, errno)
		}
		return nil
	}
	if id.ids {
		if err := raw("setgroups", unix.SYS_SETGROUPS, 0, 0, 0); err != nil {
			return err
		}
		gid, uid := uintptr(id.gid), uintptr(id.uid)
		if err := raw("setresgid", unix.SYS_SETRESGID, gid, gid, gid); err != nil {
			return err
		}
		if err := raw("setresuid", unix.SYS_SETRESUID, uid, uid, uid); err != nil {
			return err
		}
		// The change made /proc/self belong to the host's root; take it back.
		return raw("prctl", unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1, 0)
	}
	// A program that is executed must not regain them for its uid 0.
	const noRoot = 1<<0 | 1<<1 // SECBIT_NOROOT, locked
	if err := raw("prctl", unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, noRoot, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("capset: %w", err)
	}
	return nil
}
