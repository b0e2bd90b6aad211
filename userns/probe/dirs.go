package probe

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

type dirChoice struct {
	c   Choice
	err error
}

// Store chooses the directory of images and containers. The answer is cheap
// (a statfs and an access when all is well) and is kept.
//
//	RL_ROOT   $RL_ROOT, whatever it is: its owner said so
//	xdg       $XDG_DATA_HOME/rl
//	home      ~/.local/share/rl
//	var-tmp   /var/tmp/rl-UID, on this machine's own disk
//	tmp       /tmp/rl-UID/store
//
// The first that can be written and can hold layers is taken. A network or
// FUSE filesystem cannot: overlayfs refuses it as upper layer. When none of the
// first three can be written that is an error, not a reason to go elsewhere. The directory of
// the last two rungs is made here, 0700, and refused when anybody else owns it.
func Store(f *Facts) (Choice, error) {
	d := f.store.get(f.findStore)
	return d.c, d.err
}

func (f *Facts) findStore() dirChoice {
	c := Choice{Ladder: "store"}
	if root := f.h.Getenv("RL_ROOT"); root != "" {
		return f.storeAt(c, root)
	}
	// The first place that can be written but not hold an overlay: better
	// than nothing when no other can either.
	var second *Choice
	for _, p := range f.homes(&c) {
		why, remedy, writable := f.storeProblem(p.Path, p.base)
		if why == "" {
			c.Rung, c.Path, c.Reason = p.Rung, p.Path, p.Reason
			return dirChoice{c, nil}
		}
		c.miss(p.Rung, p.Path+": "+why, remedy)
		if writable && second == nil {
			second = &Choice{Ladder: "store", Rung: p.Rung, Path: p.Path}
		}
	}
	if second == nil { // a home that cannot be written is a mistake to mend, not a place to leave
		return dirChoice{c, fault.New("set RL_ROOT to a directory on a local disk that you may write",
			"no directory for images: %s", c.reasons())}
	}
	uid := strconv.Itoa(f.UID())
	for _, p := range []struct {
		rung  Rung
		claim []string
	}{
		{DirVarTmp, []string{"/var/tmp/rl-" + uid}},
		{DirTmp, []string{"/tmp/rl-" + uid, "/tmp/rl-" + uid + "/store"}},
	} {
		path := p.claim[len(p.claim)-1]
		if err := f.claimAll(p.claim); err != nil {
			c.miss(p.rung, err.Error(), "")
			continue
		}
		if why, _, writable := f.storeProblem(path, ""); why != "" {
			c.miss(p.rung, path+": "+why, "")
			if writable && second == nil {
				second = &Choice{Ladder: "store", Rung: p.rung, Path: path}
			}
			continue
		}
		c.Rung, c.Path = p.rung, path
		c.Reason = "on this machine's own disk, which other machines do not see and which may be cleaned"
		return dirChoice{c, nil}
	}
	c.Rung, c.Path = second.Rung, second.Path
	c.Reason = "no directory at hand can hold an overlay; this one can be written"
	return dirChoice{c, nil}
}

// storeAt takes the directory that the user named, or says why it cannot be.
func (f *Facts) storeAt(c Choice, root string) dirChoice {
	if !filepath.IsAbs(root) {
		return dirChoice{c, fault.New("give RL_ROOT an absolute path", "RL_ROOT is the relative path %q", root)}
	}
	c.Rung, c.Path, c.Reason = DirRoot, filepath.Clean(root), "$RL_ROOT"
	why, _, writable := f.storeProblem(c.Path, "")
	if !writable {
		return dirChoice{c, fault.New("set RL_ROOT to a directory that you may write", "RL_ROOT=%s: %s", root, why)}
	}
	if why != "" {
		c.Reason = "$RL_ROOT, though: " + why
	}
	return dirChoice{c, nil}
}

// place is a candidate for the store. base must exist for it to be one.
type place struct {
	Rung               Rung
	Path, base, Reason string
}

// homes are the places that a user's settings and home give.
func (f *Facts) homes(c *Choice) []place {
	var list []place
	if x := f.h.Getenv("XDG_DATA_HOME"); filepath.IsAbs(x) { // the specification: relative ones are ignored
		list = append(list, place{DirXDG, filepath.Join(x, "rl"), "", "$XDG_DATA_HOME"})
	}
	home := f.Home()
	if home == "" {
		c.miss(DirHome, "no home directory: $HOME is not set and /etc/passwd has none for uid "+strconv.Itoa(f.UID()), "set HOME or RL_ROOT")
		return list
	}
	return append(list, place{DirHome, filepath.Join(home, ".local/share/rl"), home, "in the home directory"})
}

// storeProblem says what is wrong with a directory, or "". One that does not
// exist yet is judged by what it would be made in, which must not be above base.
func (f *Facts) storeProblem(dir, base string) (why, remedy string, writable bool) {
	at, fs, err := f.statfsUp(dir)
	if err != nil {
		return errText(err), "", false
	}
	if len(at) < len(base) {
		return base + " does not exist", "set HOME or RL_ROOT", false
	}
	if f.UID() == 0 && base != "" { // sudo may leave the user's HOME to root, who could write there
		var st unix.Stat_t
		if f.h.Stat(at, &st) == nil && st.Uid != 0 {
			return fmt.Sprintf("%s belongs to uid %d, not to root", at, st.Uid), "set HOME or RL_ROOT", false
		}
	}
	if fs.Flags&unix.ST_RDONLY != 0 {
		return "mounted read-only", "set RL_ROOT to a directory that you may write", false
	}
	if err := f.h.Access(at, unix.W_OK|unix.X_OK); err != nil {
		if at != dir {
			return "cannot be made: " + at + ": " + errText(err), "set RL_ROOT to a directory that you may write", false
		}
		return errText(err), "set RL_ROOT to a directory that you may write", false
	}
	name, kind := fsType(int64(fs.Type))
	switch kind {
	case fsRemote:
		return "on " + name + ", which cannot hold an overlay", "set RL_ROOT to a directory on a local disk", true
	case fsUnknown:
		if !f.userXattr(at) {
			return "on " + name + ", which has no user xattrs", "set RL_ROOT to a directory on a local disk", true
		}
	}
	return "", "", true
}

// statfsUp asks about dir or, when it does not exist, its nearest ancestor.
func (f *Facts) statfsUp(dir string) (at string, fs unix.Statfs_t, err error) {
	for at = dir; ; at = filepath.Dir(at) {
		err = f.h.Statfs(at, &fs)
		if err == nil || !isMissing(err) || at == "/" {
			return at, fs, err
		}
	}
}

// userXattr asks for an attribute that is not there: ENODATA comes from a
// filesystem that could have it, EOPNOTSUPP from one that cannot.
func (f *Facts) userXattr(path string) bool {
	_, err := f.h.Xattr(path, "user.rl.probe", nil)
	return err == nil || err == unix.ENODATA
}

// Runtime chooses the directory of locks, sockets and pid files, and makes it:
// $XDG_RUNTIME_DIR/rl, or /tmp/rl-UID. Neither is trusted when it is a link,
// or when somebody else owns it or may enter it.
func Runtime(f *Facts) (Choice, error) {
	d := f.runtime.get(f.findRuntime)
	return d.c, d.err
}

func (f *Facts) findRuntime() dirChoice {
	c := Choice{Ladder: "runtime"}
	if x := f.h.Getenv("XDG_RUNTIME_DIR"); x == "" {
		c.miss(DirRuntime, "XDG_RUNTIME_DIR is not set", "log in through PAM (ssh, not su), or loginctl enable-linger "+f.User())
	} else if err := f.runtimeAt(x); err != nil {
		c.miss(DirRuntime, err.Error(), "loginctl enable-linger "+f.User()+", and set XDG_RUNTIME_DIR=/run/user/"+strconv.Itoa(f.UID()))
	} else {
		c.Rung, c.Path, c.Reason = DirRuntime, filepath.Join(x, "rl"), "$XDG_RUNTIME_DIR"
		return dirChoice{c, nil}
	}
	dir := "/tmp/rl-" + strconv.Itoa(f.UID())
	if err := f.claimAll([]string{dir}); err != nil {
		c.miss(DirTmp, err.Error(), "")
		return dirChoice{c, fault.New("set XDG_RUNTIME_DIR to a directory that is yours alone (mode 0700)",
			"no directory for locks and sockets: %s", c.reasons())}
	}
	c.Rung, c.Path, c.Reason = DirTmp, dir, "a private directory in /tmp"
	return dirChoice{c, nil}
}

// runtimeAt checks $XDG_RUNTIME_DIR and the directory in it. When the inner
// one is right already then nobody else can have made it: one system call.
func (f *Facts) runtimeAt(x string) error {
	if !filepath.IsAbs(x) {
		return fmt.Errorf("XDG_RUNTIME_DIR is the relative path %q", x)
	}
	if err := f.private(x); err != nil {
		return err
	}
	return f.claim(filepath.Join(x, "rl"))
}

// claimAll claims directories, outer ones first. The first lies in a sticky
// directory, so nobody else can rename what is ours.
func (f *Facts) claimAll(dirs []string) error {
	parent := filepath.Dir(dirs[0])
	var st unix.Stat_t
	if err := f.h.Stat(parent, &st); err != nil {
		return fmt.Errorf("%s: %w", parent, err)
	}
	if st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return fmt.Errorf("%s: others may write to it and it is not sticky", parent)
	}
	for _, d := range dirs {
		if err := f.claim(d); err != nil {
			return err
		}
	}
	return nil
}

// claim makes a directory that only the caller can enter, or takes it when it
// is exactly that already.
func (f *Facts) claim(dir string) error {
	err := f.private(dir)
	if err == nil || !isMissing(err) {
		return err
	}
	if err := f.h.Mkdir(dir, 0o700); err != nil && err != unix.EEXIST {
		return fmt.Errorf("%s: cannot be made: %w", dir, err)
	}
	return f.private(dir) // also after EEXIST: somebody may have been faster
}

// private checks that dir is a directory of the caller's, closed to others.
func (f *Facts) private(dir string) error {
	var st unix.Stat_t
	if err := f.h.Lstat(dir, &st); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return fmt.Errorf("%s is a symbolic link, which is not trusted", dir)
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", dir)
	case int(st.Uid) != f.UID():
		return fmt.Errorf("%s belongs to uid %d, not to uid %d", dir, st.Uid, f.UID())
	case st.Mode&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o)", dir, st.Mode&0o7777)
	}
	return nil
}

func (c Choice) reasons() string {
	var s []string
	for _, m := range c.Missed {
		s = append(s, m.Reason)
	}
	return strings.Join(s, "; ")
}
