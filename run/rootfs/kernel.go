package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// MaxLowers is how many layers the kernel stacks at most: OVL_MAX_STACK in
// fs/overlayfs/params.h, since Linux 4.19 and still in 6.18.
const MaxLowers = 500

// Kernel is overlayfs mounted inside the user namespace, which Linux allows
// since 5.11 (commit 459c7c565ac3, with "userxattr": its marks are user.overlay.*,
// the only ones that a user namespace may write).
//
// There are three ways to say the same mount:
//
//	direct    one mount(2). All options in one page, absolute names. The fastest,
//	          and right for all images but the strange.
//	fsconfig  fsopen(2), one fsconfig(2) a layer ("lowerdir+", Linux 6.7), so
//	          nothing limits their number but overlayfs; and its complaints can be read.
//	fds       mount(2) with layers named by descriptor number, relative to
//	          /proc/thread-self/fd: 500 of them fit in a page, on any kernel.
//
// They are tried in this order: direct when the names fit and need no escapes,
// then fsconfig, also because it can say what was wrong, then fds when fsconfig
// is what the kernel lacks.
type Kernel struct {
	only string // tests force a way: "direct", "fsconfig", "fds"; "" tries them
}

// Name is "kernel".
func (*Kernel) Name() string { return "kernel" }

// Mount mounts the overlay. Read-only without an upper directory and with a
// single layer it is a read-only bind mount, because overlayfs refuses to stack
// nothing on one layer.
func (k *Kernel) Mount(t Tree) (unmount func() error, err error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if err := t.ownMap(); err != nil {
		return nil, err
	}
	t.Lowers = visible(t.Lowers)
	if t.Upper == "" && len(t.Lowers) == 1 {
		return bind(t.Lowers[0], t.Target, true)
	}
	if len(t.Lowers) > MaxLowers {
		return nil, refused{fault.New("squash some of the image's layers, or use --rootfs-driver copy",
			"the image has %d layers, and overlayfs stacks at most %d", len(t.Lowers), MaxLowers)}
	}
	if err := k.overlay(t); err != nil {
		return nil, err
	}
	return unmounter(t.Target), nil
}

// visible drops the layers below one whose root is opaque. Overlayfs merges the
// roots of all layers without looking at their marks, but an image may say
// ".wh..wh..opq" at its root, and what that hides must stay hidden.
func visible(lowers []string) []string {
	for i, l := range lowers[:len(lowers)-1] {
		if opaqueRoot(l) {
			return lowers[:i+1]
		}
	}
	return lowers
}

func (t Tree) check() error {
	switch {
	case len(t.Lowers) == 0:
		return errors.New("a root filesystem needs at least one layer")
	case t.Target == "":
		return errors.New("a root filesystem needs a directory to be mounted on")
	case t.Upper == "" && !t.ReadOnly:
		return errors.New("a writable root filesystem needs an upper directory")
	case t.Upper != "" && t.Work == "":
		return errors.New("an upper directory needs a work directory beside it")
	}
	return nil
}

// ownMap refuses layers whose owners are called otherwise in this namespace.
func (t Tree) ownMap() error {
	if t.Maps == nil {
		return nil
	}
	return refused{errors.New("the layers were written under another id map")}
}

func (k *Kernel) overlay(t Tree) error {
	err := k.tryWays(t)
	if err == nil {
		return nil
	}
	// A volatile mount leaves this mark, and the next mount fails on it: data may
	// not have reached the disk. Who mounts volatile again has accepted that.
	if mark := volatileMark(t); mark != "" && t.Volatile {
		if RemoveAll(mark) == nil {
			if err = k.tryWays(t); err == nil {
				return nil
			}
		}
	}
	return explain(t, err)
}

func (k *Kernel) tryWays(t Tree) error {
	options, fit := t.options()
	var err error
	if k.only == "direct" || k.only == "" && fit {
		if err = mountDirect(t, options); err == nil || k.only != "" {
			return err
		}
	}
	if k.only == "" || k.only == "fsconfig" {
		ferr := mountFsconfig(t)
		if ferr == nil || k.only != "" {
			return ferr
		}
		if fit {
			return telling(err, ferr) // mount(2) has failed as well
		}
		if !lacksFsconfig(ferr) {
			return ferr
		}
		err = ferr
	}
	if ferr := mountFds(t); ferr != nil {
		return telling(ferr, err)
	}
	return nil
}

// telling picks, of two errors for the same mount, the one that knows more.
func telling(a, b error) error {
	var me *sys.MountError
	if errors.As(b, &me) && len(me.Log) > 0 && errors.Is(a, errnoOf(b)) {
		return b
	}
	return a
}

func errnoOf(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// lacksFsconfig tells whether the kernel (or a seccomp filter) has no fsopen(2),
// or its overlayfs no "lowerdir+": before 6.5 the whole mount API (legacy
// contexts take the key and fail at creation), before 6.7 the key: EINVAL all.
func lacksFsconfig(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP)
}

// options gives the option string of mount(2), and whether the kernel can take
// it: within a page, no character that is parsed differently by different
// kernels (escapes of ':' and ',' changed in 6.5, 6.6 and 6.8).
func (t Tree) options() (s string, fit bool) {
	const page = 4096 // the smallest; the last byte is the terminating zero
	n := len("userxattr,volatile,lowerdir=,upperdir=,workdir=") + len(t.Upper) + len(t.Work)
	for _, l := range t.Lowers {
		n += len(l) + 1
	}
	if n >= page {
		return "", false
	}
	if t.Upper != "" && !plain(t.Upper) || t.Work != "" && !plain(t.Work) {
		return "", false
	}
	for _, l := range t.Lowers {
		if !plain(l) {
			return "", false
		}
	}
	return overlayOptions(t.Lowers, t.Upper, t.Work, t.Volatile), true
}

func plain(name string) bool { return name != "" && !strings.ContainsAny(name, `:,\`) }

func overlayOptions(lowers []string, upper, work string, volatile bool) string {
	var b strings.Builder
	b.WriteString("userxattr")
	if volatile && upper != "" {
		b.WriteString(",volatile")
	}
	b.WriteString(",lowerdir=")
	for i, l := range lowers {
		if i > 0 {
			b.WriteByte(':')
		}
		b.WriteString(l)
	}
	if upper != "" {
		b.WriteString(",upperdir=" + upper + ",workdir=" + work)
	}
	return b.String()
}

func (t Tree) flags() uintptr {
	if t.ReadOnly {
		return unix.MS_RDONLY
	}
	return 0
}

// volatileMark is the directory that refuses the next mount, or "".
func volatileMark(t Tree) string {
	if t.Work == "" {
		return ""
	}
	mark := filepath.Join(t.Work, "work", "incompat", "volatile")
	if _, err := os.Lstat(mark); err != nil {
		return ""
	}
	return mark
}

// unmounter takes the mount away; when something still runs in it, the kernel
// does so after the last user has left.
func unmounter(target string) func() error {
	return func() error {
		err := sys.Unmount(target, unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EBUSY) {
			err = sys.Unmount(target, unix.UMOUNT_NOFOLLOW|unix.MNT_DETACH)
		}
		if err != nil {
			return fmt.Errorf("cannot unmount the root filesystem: %w", err)
		}
		return nil
	}
}
