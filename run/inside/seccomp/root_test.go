package seccomp_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// enterRoot makes dir the root, with /proc, /dev and /sys as a container has them.
func enterRoot(dir string) error {
	mount := func(from, to, kind string, flags uintptr) error {
		to = filepath.Join(dir, to)
		options := ""
		if kind == "tmpfs" {
			options = "mode=755" // in a sticky directory nobody may open another's device with O_CREAT
		}
		if err := unix.Mount(from, to, kind, flags, options); err != nil {
			return fmt.Errorf("mount %s: %w", to, err)
		}
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := mount("proc", "proc", "proc", 0); err != nil {
		return err
	}
	if err := mount("tmpfs", "dev", "tmpfs", 0); err != nil {
		return err
	}
	for _, dev := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		if err := os.WriteFile(filepath.Join(dir, "dev", dev), nil, 0o666); err != nil {
			return err
		}
		if err := mount("/dev/"+dev, "dev/"+dev, "", unix.MS_BIND); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(to, filepath.Join(dir, "dev", name)); err != nil {
			return err
		}
	}
	if err := mount("/sys", "sys", "", unix.MS_BIND|unix.MS_REC); err != nil {
		return err
	}
	if err := unix.Chroot(dir); err != nil {
		return err
	}
	return os.Chdir("/")
}

// masked runs the monitor once more, in a user namespace within this one, where
// a mount over part of /proc is locked: as in another engine's container.
func masked(r rig) (int, error) {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return 0, err
	}
	// os/exec writes the id maps by /proc/PID, so the numbers must be ours.
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return 0, err
	}
	if err := unix.Mount("none", "/proc/sys", "tmpfs", unix.MS_RDONLY, ""); err != nil {
		return 0, err
	}
	r.MaskProc = false
	conf, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	if err := os.Setenv(configEnv, string(conf)); err != nil {
		return 0, err
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{Size: 1}},
	}
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}
