package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// DirTrial is what trying a directory came to; nil is good.
type DirTrial struct {
	Write, Xattr, Flock error
}

// realTryDir makes a file in dir, gives it a user attribute and locks it from
// two open files.
func (h *Host) realTryDir(dir string) (d DirTrial) {
	tmp, err := os.MkdirTemp(filepath.Join(h.Root, dir), ".rl-probe-")
	if err != nil {
		d.Write, d.Xattr, d.Flock = err, err, err
		return d
	}
	defer os.RemoveAll(tmp)
	path := filepath.Join(tmp, "file")
	if d.Write = os.WriteFile(path, []byte("x"), 0o600); d.Write != nil {
		return d
	}
	d.Xattr = unix.Setxattr(path, "user.rl.probe", []byte("x"), 0)
	d.Flock = tryFlock(path)
	return d
}

// tryFlock locks a file twice: the second lock must be refused. Some network
// filesystems say yes to both.
func tryFlock(path string) error {
	a, err := os.Open(path)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(path)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := unix.Flock(int(a.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	if unix.Flock(int(b.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		return fmt.Errorf("locks are granted twice")
	}
	return nil
}

func (f *Facts) checkHome() Check {
	home := f.Home()
	if home == "" {
		return missed("none", "$HOME is not set and /etc/passwd has none for this user", "set HOME")
	}
	at, fs, err := f.statfsUp(home)
	if err != nil || at != home {
		return missed(home, "it does not exist", "make it, or set HOME or RL_ROOT")
	}
	return info(home + ": " + describeFS(&fs))
}

// lowSpace and lowInodes are where the doctor begins to warn: a Debian image
// and its compressed layer, unpacked once.
const (
	lowSpace  = 1 << 30
	lowInodes = 50000
)

func (f *Facts) checkStore() Check {
	c, err := Store(f)
	if err != nil {
		return failed("no directory for images", err.Error(), hint(err))
	}
	at, fs, err := f.statfsUp(c.Path)
	if err != nil {
		return failed(c.Path, errText(err), "set RL_ROOT")
	}
	fact := c.Path + ": " + describeFS(&fs)
	d := f.h.TryDir(at)
	free := fs.Bavail * uint64(fs.Bsize)
	switch {
	case d.Write != nil:
		return failed(fact, "cannot be written: "+errText(d.Write), "set RL_ROOT to a directory that you may write")
	case d.Flock != nil:
		return failed(fact, "flock does not work: "+errText(d.Flock), "set RL_ROOT to a directory on a local disk")
	case d.Xattr != nil:
		return missed(fact, "user xattrs do not work: "+errText(d.Xattr), "set RL_ROOT to a directory on ext4, xfs or btrfs")
	case free < lowSpace:
		return missed(fact, "little space is left", "rl system prune, or set RL_ROOT to a larger disk")
	case fs.Files > 0 && fs.Ffree < lowInodes: // btrfs and others count none
		return missed(fact, "few inodes are left", "rl system prune, or set RL_ROOT to another disk")
	case fs.Flags&unix.ST_NOEXEC != 0: // overlayfs takes noexec from its upper layer's mount
		return missed(fact, "it is mounted noexec, and so programs of containers may not start", "remount it with exec, or set RL_ROOT")
	case c.Rung == DirVarTmp || c.Rung == DirTmp:
		return missed(fact, c.reasons(), "set RL_ROOT to a directory on a local disk")
	}
	return ok(fact)
}

func (f *Facts) checkRuntime() Check {
	c, err := Runtime(f)
	if err != nil {
		return failed("no directory for locks and sockets", c.reasons(), hint(err))
	}
	var fs unix.Statfs_t
	fact := c.Path
	if f.h.Statfs(c.Path, &fs) == nil {
		fact += ": " + describeFS(&fs)
	}
	d := f.h.TryDir(c.Path)
	if d.Write != nil {
		return failed(fact, "cannot be written: "+errText(d.Write), "")
	}
	if d.Flock != nil {
		return failed(fact, "flock does not work: "+errText(d.Flock), "set XDG_RUNTIME_DIR to a directory on a local filesystem")
	}
	return ok(fact)
}

func (f *Facts) checkXDG() Check {
	x := f.h.Getenv("XDG_RUNTIME_DIR")
	c, _ := Runtime(f)
	if c.Rung == DirRuntime {
		return ok(x)
	}
	fact := x
	if fact == "" {
		fact = "not set"
	}
	return missed(fact, c.Missed[0].Reason, c.Missed[0].Remedy)
}

// describeFS is a filesystem in a few words: type, space, odd mount flags.
func describeFS(fs *unix.Statfs_t) string {
	name, _ := fsType(int64(fs.Type))
	parts := []string{name, bytesText(fs.Bavail*uint64(fs.Bsize)) + " free"}
	if fs.Files > 0 {
		parts = append(parts, fmt.Sprintf("%d inodes free", fs.Ffree))
	}
	for _, fl := range []struct {
		bit  int64
		name string
	}{{unix.ST_RDONLY, "read-only"}, {unix.ST_NOEXEC, "noexec"}, {unix.ST_NOSUID, "nosuid"}, {unix.ST_NODEV, "nodev"}} {
		if int64(fs.Flags)&fl.bit != 0 {
			parts = append(parts, fl.name)
		}
	}
	return strings.Join(parts, ", ")
}

func bytesText(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1024, 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}
