package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// delegated is a cgroup v2 that root gave to a person, as a service manager does for a
// service with Delegate=.
type delegated struct {
	dir *os.File
	// The host has v1 beside v2: the person sees v2 alone, in a mount namespace of its own.
	hybrid bool
}

// Delegate gives the person a cgroup, where the kernel has v2, in which programs begin
// from now on. Undelegate takes it back.
func (p *Person) Delegate() error {
	root := "/sys/fs/cgroup"
	var st unix.Statfs_t
	hybrid := unix.Statfs(root, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC
	if hybrid {
		root += "/unified"
		if unix.Statfs(root, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			return nil
		}
	}
	dir := filepath.Join(root, fmt.Sprintf("rl-test-%s-%d", p.Name, os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("delegate a cgroup to %s: %w", p.Name, err)
	}
	for _, f := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		if err := os.Chown(filepath.Join(dir, f), int(p.cred.Uid), int(p.cred.Gid)); err != nil {
			return err
		}
	}
	f, err := os.Open(dir)
	p.cgroup = &delegated{f, hybrid}
	return err
}

// Undelegate removes the cgroup, when its processes have ended.
func (p *Person) Undelegate() error {
	if p.cgroup == nil {
		return nil
	}
	top := p.cgroup.dir.Name()
	p.cgroup.dir.Close()
	p.cgroup = nil
	err := os.WriteFile(filepath.Join(top, "cgroup.kill"), []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) { // before Linux 5.14
		err = nil
	}
	var dirs []string
	walk := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	err = errors.Join(err, walk)
	for i := len(dirs) - 1; i >= 0; i-- {
		var e error
		for range 500 { // the killed take a moment to go
			if e = os.Remove(dirs[i]); !errors.Is(e, unix.EBUSY) {
				break
			}
			unix.Nanosleep(&unix.Timespec{Nsec: 10e6}, nil)
		}
		err = errors.Join(err, e)
	}
	return err
}

// command is a command line that becomes the person where cgroup v2 is mounted alone.
func (d *delegated) command(args []string, cred *syscall.Credential) *exec.Cmd {
	var groups []string
	for _, g := range cred.Groups {
		groups = append(groups, strconv.Itoa(int(g)))
	}
	others := "--clear-groups"
	if len(groups) > 0 {
		others = "--groups=" + strings.Join(groups, ",")
	}
	become := []string{"setpriv", fmt.Sprintf("--reuid=%d", cred.Uid), fmt.Sprintf("--regid=%d", cred.Gid), others, "--"}
	if d.hybrid {
		// Private first: a mount must not be seen outside, though / stays as shared as it is.
		const mount = `mount --make-rprivate /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"`
		become = append([]string{"unshare", "--mount", "--propagation", "unchanged", "sh", "-c", mount, "sh"}, become...)
	}
	all := append(become, args...)
	return exec.Command(all[0], all[1:]...)
}
