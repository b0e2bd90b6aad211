package userns

import (
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
	said, err := execute(path, append([]string{name}, idmap.NewidmapArgs(pid, r)...))
	if err != nil {
		return fault.New("`rl doctor` tells what is wrong with it; --userns=single goes without subordinate ids",
			"cannot map subordinate ids: %s: %w: %s", name, err, strings.TrimPrefix(said, name+": "))
	}
	return nil
}

// execute runs a program and gives what it said. It is os/exec without the
// goroutines, which cost a start more than the rest.
func execute(path string, argv []string) (said string, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: []string{"LC_ALL=C"}, Files: []uintptr{w.Fd(), w.Fd(), w.Fd()}})
	w.Close()
	if err != nil {
		return "", err
	}
	var ws syscall.WaitStatus
	for {
		if _, err = syscall.Wait4(pid, &ws, 0, nil); err != syscall.EINTR {
			break
		}
	}
	if err != nil || ws.ExitStatus() == 0 {
		return "", err
	}
	text := make([]byte, 4096) // a pipe holds more than it ever says
	n, _ := r.Read(text)
	return strings.TrimSpace(string(text[:n])), fmt.Errorf("exit status %d", ws.ExitStatus())
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
