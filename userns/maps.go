package userns

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"rl/userns/idmap"
	"rl/userns/sys/fault"
)

// writeMaps writes both tables of the child's namespace.
func writeMaps(pid int, c Config) error {
	if c.Helpers {
		done := make(chan error, 1)
		go func() { done <- helper("newgidmap", pid, c.Map.GIDs) }()
		err := helper("newuidmap", pid, c.Map.UIDs)
		return errors.Join(err, <-done)
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	if !privileged(c.Map) {
		// One id: the kernel lets an unprivileged process write it, once nobody
		// in the namespace can drop groups any more (CVE-2014-8989).
		if err := write(proc+"setgroups", "deny"); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := write(proc+"uid_map", c.Map.UIDs.String()); err != nil {
		return err
	}
	return write(proc+"gid_map", c.Map.GIDs.String())
}

func write(path, data string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(data)
	return errors.Join(err, f.Close())
}

// helper runs newuidmap or newgidmap, which are setuid root and allow what
// /etc/subuid and /etc/subgid grant.
func helper(name string, pid int, r idmap.Ranges) error {
	path, err := exec.LookPath(name)
	if err != nil {
		if path = "/usr/bin/" + name; syscall.Access(path, 1) != nil {
			return fault.New("install the package that has it (uidmap on Debian, shadow-utils elsewhere), or use --userns=single",
				"cannot map subordinate ids: %s is not installed", name)
		}
	}
	var out bytes.Buffer
	cmd := exec.Cmd{Path: path, Args: append([]string{name}, idmap.NewidmapArgs(pid, r)...), Stdout: &out, Stderr: &out, Env: []string{"LC_ALL=C"}}
	if err := cmd.Run(); err != nil {
		return fault.New("`rl doctor` tells what is wrong with it; --userns=single goes without subordinate ids",
			"cannot map subordinate ids: %s: %s", err, strings.TrimSpace(out.String()))
	}
	return nil
}

// explainClone tells the reasons apart for which user namespaces are refused.
func explainClone(err error) error {
	const doctor = "`rl doctor` tells what stands in the way and what an administrator can do"
	switch {
	case errors.Is(err, syscall.EPERM):
		return fault.New(doctor, "cannot create a user namespace: %w: refused by a sysctl, a security module or the seccomp profile of a container around us", err)
	case errors.Is(err, syscall.ENOSPC):
		return fault.New(doctor, "cannot create a user namespace: %w: user.max_user_namespaces is exhausted or 0", err)
	case errors.Is(err, syscall.EUSERS):
		return fault.New(doctor, "cannot create a user namespace: %w: namespaces are nested too deeply", err)
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSYS):
		return fault.New(doctor, "cannot create a user namespace: %w: this kernel was built without them", err)
	}
	return fmt.Errorf("cannot create a user namespace: %w", err)
}
