// Package filter installs seccomp programs in the process that is about to
// become the workload, and checks that they work.
//
// It runs inside a package init, before most of the binary is initialised, so
// it imports syscall, unsafe and runtime and nothing else, and its errors are
// bare errno values. What to install was decided and compiled by the front
// process (run/inside/seccomp).
//
// A filter belongs to a thread. The caller stands on a locked thread
// (runtime.LockOSThread, or a package init, which is locked) and calls execve
// from it: the other threads of a Go program end there, and the filter lives
// on in the workload. So no thread synchronisation is asked for.
//
// Order. Without no_new_privs the kernel wants CAP_SYS_ADMIN in the user
// namespace, so filters come before the capabilities are dropped. The fake root
// comes before the container's profile: of two filters that refuse, the one
// installed last decides, and a profile's EPERM should beat a fake success. All
// real changes of identity (setgroups, setuid, capset) come before the fake
// root, which turns them into nothing.
//
// The listener. A program with notifications gives a descriptor that must reach
// the monitor (by SCM_RIGHTS) and be served there before this process makes a
// notified call: [SelfTest] with a listener is one. When the last copy of the
// descriptor is closed, for instance because the monitor died, notified calls
// fail with ENOSYS, and programs treat that as a kernel without them.
package filter

import "syscall"

const (
	setModeFilter = 1 // SECCOMP_SET_MODE_FILTER

	flagSpecAllow    = 1 << 2 // SECCOMP_FILTER_FLAG_SPEC_ALLOW, 4.17
	flagNewListener  = 1 << 3 // SECCOMP_FILTER_FLAG_NEW_LISTENER, 5.0
	flagWaitKillable = 1 << 5 // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 5.19

	insnSize = 8 // sizeof(struct sock_filter)
)

// Install adds prog, an array of struct sock_filter, to this thread's filters.
// The listener is a close-on-exec descriptor when flags ask for one, else -1.
//
// Flags that only make things better are left off where the kernel does not
// know them: WAIT_KILLABLE_RECV (a signal can then interrupt a caller while the
// supervisor works for it) and SPEC_ALLOW. EBUSY: the chain has a listener
// already. EACCES: neither no_new_privs nor CAP_SYS_ADMIN.
func Install(prog []byte, flags uint32) (listener int, errno syscall.Errno) {
	if len(prog) == 0 || len(prog)%insnSize != 0 || len(prog)/insnSize > 4096 {
		return -1, syscall.EINVAL
	}
	fd, errno := install(prog, flags)
	for _, optional := range [...]uint32{flagWaitKillable, flagSpecAllow} {
		if errno == syscall.EINVAL && flags&optional != 0 {
			flags &^= optional
			fd, errno = install(prog, flags)
		}
	}
	switch {
	case errno != 0:
		return -1, errno
	case flags&flagNewListener == 0:
		return -1, 0
	}
	return fd, 0
}

// InstallWithFallback installs prog, which notifies a supervisor, or fallback,
// which does without, where the kernel gives no listener: because one exists
// in the chain (EBUSY: rl inside another container's supervision; one listener
// a process is the kernel's limit) or before Linux 5.0 (EINVAL). A listener of
// -1 with errno 0 says that it was the fallback.
func InstallWithFallback(prog, fallback []byte, flags uint32) (listener int, errno syscall.Errno) {
	listener, errno = Install(prog, flags)
	if errno == syscall.EBUSY || errno == syscall.EINVAL {
		return Install(fallback, flags&^(flagNewListener|flagWaitKillable))
	}
	return listener, errno
}
