// Package raw holds the system calls of the init stage.
//
// Init takes the process over while Go is still initialising packages, before
// the ones that a command line or a registry client needs. Go initialises a
// package as soon as everything it imports is ready, in the order of import
// paths; so whatever init is built from may import nothing but syscall and
// unsafe, and this room is where its system calls are. Errors are bare
// [syscall.Errno] values: the caller knows what it was doing.
//
// Everybody else uses userns/sys, which is built on golang.org/x/sys/unix.
package raw

import "syscall"

// Numbers and flags that package syscall does not have. The system calls added
// since Linux 5.1 have the same number on every architecture.
const (
	sysCloseRange   = 436
	sysMountSetattr = 442
	sysOpenat2      = 437

	CloseRangeCloexec = 4 // CLOSE_RANGE_CLOEXEC, Linux 5.11

	prCapbsetDrop   = 24 // PR_CAPBSET_DROP
	prSetNoNewPrivs = 38 // PR_SET_NO_NEW_PRIVS
	prCapAmbient    = 47 // PR_CAP_AMBIENT
	ambientClearAll = 4  // PR_CAP_AMBIENT_CLEAR_ALL

	atEmptyPath = 0x1000
	atRecursive = 0x8000

	noMagicLinks = 0x02 // RESOLVE_NO_MAGICLINKS
	noSymlinks   = 0x04 // RESOLVE_NO_SYMLINKS
	inRoot       = 0x10 // RESOLVE_IN_ROOT

	AttrRdonly = 1 // MOUNT_ATTR_RDONLY
)

// CloseRange applies flags to the descriptors from first on (close_range(2),
// Linux 5.9).
func CloseRange(first uint, flags uint) error {
	_, _, e := syscall.RawSyscall(sysCloseRange, uintptr(first), ^uintptr(0)>>33, uintptr(flags))
	return fail(e)
}

// DropBounding removes a capability from the bounding set. EINVAL means that
// the kernel does not know it.
func DropBounding(cap uint) error { return prctl(prCapbsetDrop, uintptr(cap), 0) }

// SetNoNewPrivs makes execve(2) grant nothing more.
func SetNoNewPrivs() error { return prctl(prSetNoNewPrivs, 1, 0) }

// ClearAmbient empties the ambient capability set (Linux 4.3).
func ClearAmbient() error { return prctl(prCapAmbient, ambientClearAll, 0) }

func prctl(op, a, b uintptr) error {
	_, _, e := syscall.RawSyscall6(syscall.SYS_PRCTL, op, a, b, 0, 0, 0)
	return fail(e)
}

// Setns moves the calling thread into namespaces of the process behind a pidfd
// (Linux 5.8).
func Setns(pidfd int, flags uintptr) error {
	_, _, e := syscall.RawSyscall(sysSetns, uintptr(pidfd), flags, 0)
	return fail(e)
}

// JoinSessionKeyring gives the process a session keyring of its own.
func JoinSessionKeyring() error {
	_, _, e := syscall.RawSyscall(syscall.SYS_KEYCTL, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, 0, 0)
	return fail(e)
}

// SetControllingTerminal makes fd, a terminal, that of the caller's session.
func SetControllingTerminal(fd int) error {
	_, _, e := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), syscall.TIOCSCTTY, 0)
	return fail(e)
}

func fail(e syscall.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}
