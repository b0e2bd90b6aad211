package seccomp

import "github.com/opencontainers/runtime-spec/specs-go"

// FakeRootProfile is the illusion of root for a container that has one id only.
//
// With one id mapped, the kernel refuses (EINVAL, EPERM) every change of owner
// or identity to any other. Package managers treat that as fatal. So these
// calls return 0 and do nothing: dpkg, rpm, tar, useradd and su go on, and all
// files and processes stay with the one id there is. There is no memory of
// what was asked: stat shows the old owner after a chown, getuid the old id
// after a setuid. Programs that check (apt's sandbox user, sshd) notice;
// docs/architecture.md lists what they need.
//
// With notify, calls that only the caller's memory can decide are passed to the
// supervisor in run/inside/seccomp/notify: extended attributes by name, and
// device nodes, which it replaces by empty files so that the chmod, utime and
// rename that follow find something (as umoci does when it unpacks such a
// layer). Without, attributes are tried for real, and a device node that was
// "made" is simply not there.
func FakeRootProfile(notify bool) *specs.LinuxSeccomp {
	zero := uint(0)
	fake := func(names []string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: names, Action: specs.ActErrno, ErrnoRet: &zero, Args: args}
	}
	run := func(names []string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: names, Action: specs.ActAllow, Args: args}
	}
	ask := fake
	if notify {
		ask = func(names []string, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
			return specs.LinuxSyscall{Names: names, Action: specs.ActNotify, Args: args}
		}
	}
	rules := []specs.LinuxSyscall{
		fake([]string{
			"chown", "chown32", "fchown", "fchown32", "lchown", "lchown32", "fchownat",
			"setuid", "setuid32", "setgid", "setgid32", "setreuid", "setreuid32", "setregid", "setregid32",
			"setresuid", "setresuid32", "setresgid", "setresgid32", "setgroups", "setgroups32",
			"capset",
		}),
		// -1 asks which id is in force and must be answered truly.
		run([]string{"setfsuid", "setfsuid32", "setfsgid", "setfsgid32"}, word(0, 0xffffffff, 0xffffffff)),
		fake([]string{"setfsuid", "setfsuid32", "setfsgid", "setfsgid32"}),
	}
	for _, mknod := range []struct {
		name string
		mode uint
	}{{"mknod", 1}, {"mknodat", 2}} {
		names := []string{mknod.name}
		isChar, isBlock := word(mknod.mode, sIFMT, sIFCHR), word(mknod.mode, sIFMT, sIFBLK)
		rules = append(rules,
			// 0:0 is overlayfs's whiteout, which anybody may make (5.8); an
			// overlay inside the container depends on it.
			run(names, isChar, word(mknod.mode+1, 0xffffffff, 0)),
			ask(names, isChar),
			ask(names, isBlock))
	}
	if notify {
		rules = append(rules, ask([]string{
			"setxattr", "lsetxattr", "fsetxattr", "setxattrat",
			"removexattr", "lremovexattr", "fremovexattr", "removexattrat",
		}))
	}
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32, specs.ArchAARCH64, specs.ArchARM},
		Syscalls:      rules,
	}
}

const (
	sIFMT  = 0o170000
	sIFCHR = 0o020000
	sIFBLK = 0o060000
)

// word compares the lower half of an argument: the kernel takes an int, a mode
// or an id from 32 bits and ignores what a caller left in the upper ones.
func word(index uint, mask, want uint64) specs.LinuxSeccompArg {
	return specs.LinuxSeccompArg{Index: index, Op: specs.OpMaskedEqual, Value: mask, ValueTwo: want}
}

// FakeRoot is the compiled illusion: the program for a process with a
// supervisor, the flags to install it with, and the program to fall back on
// where the kernel gives no listener (see filter.InstallWithFallback).
func FakeRoot() (prog, fallback []byte, flags uint32, err error) {
	if prog, flags, err = Compile(FakeRootProfile(true)); err != nil {
		return nil, nil, 0, err
	}
	if fallback, _, err = Compile(FakeRootProfile(false)); err != nil {
		return nil, nil, 0, err
	}
	return prog, fallback, flags | flagNewListener | flagWaitKillable, nil
}
