// Package sys is where rl talks to the kernel: thin wrappers around system calls
// that make them fit for use.
//
// Each repeats a call that a signal interrupted, opens descriptors close-on-exec,
// and gives errors that say what was asked, with the flags by name, and still answer
// errors.Is with the bare errno. It decides nothing: which mount to make, what to
// try next and what to tell a person is the business of the rooms above, all of
// which may import this one. It imports none of them.
package sys

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// MountError is a mount call that failed: what was asked, in words, and the
// kernel's answer. Err is the bare errno, for errors.Is.
type MountError struct {
	Call   string // mount, umount2, fsopen, fsconfig, fsmount, move_mount, open_tree, mount_setattr
	Source string
	Target string
	Type   string
	Flags  uintptr  // MS_* of mount(2)
	Data   string   // options, or "key=value" of fsconfig
	Log    []string // what the kernel wrote to the filesystem context, when there was one
	Err    error
}

func (e *MountError) Error() string {
	var b strings.Builder
	b.WriteString(e.Call)
	for _, s := range []struct{ name, value string }{
		{"type", e.Type}, {"from", e.Source}, {"on", e.Target}, {"flags", MountFlags(e.Flags)}, {"options", e.Data},
	} {
		if s.value != "" {
			fmt.Fprintf(&b, " %s %s", s.name, clip(s.value))
		}
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if len(e.Log) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(e.Log, "; "))
	}
	return b.String()
}

func (e *MountError) Unwrap() error { return e.Err }

// clip keeps the option string of a 200-layer mount from filling the terminal.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// MountFlags names the MS_* bits of mount(2), joined by "|".
func MountFlags(flags uintptr) string {
	if flags == 0 {
		return ""
	}
	// A slice in the function, not a map at package level: errors only.
	var names []string
	for _, f := range []struct {
		bit  uintptr
		name string
	}{
		{unix.MS_RDONLY, "MS_RDONLY"},
		{unix.MS_NOSUID, "MS_NOSUID"},
		{unix.MS_NODEV, "MS_NODEV"},
		{unix.MS_NOEXEC, "MS_NOEXEC"},
		{unix.MS_SYNCHRONOUS, "MS_SYNCHRONOUS"},
		{unix.MS_REMOUNT, "MS_REMOUNT"},
		{unix.MS_MANDLOCK, "MS_MANDLOCK"},
		{unix.MS_DIRSYNC, "MS_DIRSYNC"},
		{unix.MS_NOSYMFOLLOW, "MS_NOSYMFOLLOW"},
		{unix.MS_NOATIME, "MS_NOATIME"},
		{unix.MS_NODIRATIME, "MS_NODIRATIME"},
		{unix.MS_BIND, "MS_BIND"},
		{unix.MS_MOVE, "MS_MOVE"},
		{unix.MS_REC, "MS_REC"},
		{unix.MS_SILENT, "MS_SILENT"},
		{unix.MS_UNBINDABLE, "MS_UNBINDABLE"},
		{unix.MS_PRIVATE, "MS_PRIVATE"},
		{unix.MS_SLAVE, "MS_SLAVE"},
		{unix.MS_SHARED, "MS_SHARED"},
		{unix.MS_RELATIME, "MS_RELATIME"},
		{unix.MS_STRICTATIME, "MS_STRICTATIME"},
		{unix.MS_LAZYTIME, "MS_LAZYTIME"},
	} {
		if flags&f.bit != 0 {
			names = append(names, f.name)
			flags &^= f.bit
		}
	}
	if flags != 0 {
		names = append(names, fmt.Sprintf("%#x", flags))
	}
	return strings.Join(names, "|")
}

// Mount is mount(2). An error is a *MountError.
func Mount(source, target, fstype string, flags uintptr, data string) error {
	err := again(func() error { return unix.Mount(source, target, fstype, flags, data) })
	if err != nil {
		return &MountError{Call: "mount", Source: source, Target: target, Type: fstype, Flags: flags, Data: data, Err: err}
	}
	return nil
}

// Unmount is umount2(2); flags are MNT_DETACH and UMOUNT_NOFOLLOW.
func Unmount(target string, flags int) error {
	err := again(func() error { return unix.Unmount(target, flags) })
	if err != nil {
		return &MountError{Call: "umount2", Target: target, Err: err}
	}
	return nil
}

// OpenTree is open_tree(2), close-on-exec. With OPEN_TREE_CLONE the descriptor
// is a detached bind mount (and AT_RECURSIVE takes what is mounted below).
// Linux 5.2.
func OpenTree(dirfd int, path string, flags uint) (fd int, err error) {
	err = again(func() (err error) {
		fd, err = unix.OpenTree(dirfd, path, flags|unix.OPEN_TREE_CLOEXEC)
		return err
	})
	if err != nil {
		return -1, &MountError{Call: "open_tree", Source: path, Err: err}
	}
	return fd, nil
}

// MoveMount attaches the detached mount behind fd to the path target. Linux 5.2.
func MoveMount(fd int, target string) error {
	err := again(func() error {
		return unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
	})
	if err != nil {
		return &MountError{Call: "move_mount", Target: target, Err: err}
	}
	return nil
}

// MountSetattr is mount_setattr(2): it sets and clears MOUNT_ATTR_* bits and
// leaves every other attribute alone, which a remount does not. Linux 5.12.
func MountSetattr(dirfd int, path string, flags uint, attr unix.MountAttr) error {
	err := again(func() error { return unix.MountSetattr(dirfd, path, flags, &attr) })
	if err != nil {
		return &MountError{Call: "mount_setattr", Target: path, Err: err}
	}
	return nil
}

// again repeats a call that a signal interrupted. Go's own preemption signal
// restarts calls by itself (SA_RESTART), but not every call can be restarted.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
