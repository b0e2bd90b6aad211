package harness

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// A Person is an ordinary user that programs are run as, with a home, a runtime
// directory and a directory for temporary files that are new and theirs.
type Person struct {
	Name string
	Home string // holds run, tmp and cover
	Env  []string
	cred *syscall.Credential // nil for oneself

	cgroup *delegated // that programs begin in, nil for the caller's
}

// NewPerson makes the directories of a user below dir; name "" is oneself.
// Nothing of our own environment goes to others but where to find a proxy.
func NewPerson(name, dir string) (*Person, error) {
	p := &Person{Name: name}
	uid, gid := os.Getuid(), os.Getgid()
	if name == "" {
		me, err := user.Current()
		if err != nil {
			return nil, err
		}
		p.Name = me.Username
	} else {
		u, err := user.Lookup(name)
		if err != nil {
			return nil, fmt.Errorf("%w: `make test-set-up` as root makes that user", err)
		}
		groups, err := u.GroupIds()
		if err != nil {
			return nil, err
		}
		p.cred = &syscall.Credential{}
		for _, id := range groups {
			n, err := strconv.ParseUint(id, 10, 32)
			if err != nil {
				return nil, err
			}
			p.cred.Groups = append(p.cred.Groups, uint32(n))
		}
		if uid, err = strconv.Atoi(u.Uid); err != nil {
			return nil, err
		}
		if gid, err = strconv.Atoi(u.Gid); err != nil {
			return nil, err
		}
		p.cred.Uid, p.cred.Gid = uint32(uid), uint32(gid)
	}
	p.Home = filepath.Join(dir, p.Name)
	for _, d := range []string{"", "run", "tmp", "cover"} {
		d = filepath.Join(p.Home, d)
		if err := os.Mkdir(d, 0o700); err != nil {
			return nil, err
		}
		if err := os.Chown(d, uid, gid); err != nil {
			return nil, err
		}
	}
	p.Env = []string{
		"HOME=" + p.Home, "USER=" + p.Name, "LOGNAME=" + p.Name, "SHELL=/bin/bash", "LANG=C.UTF-8",
		"XDG_RUNTIME_DIR=" + filepath.Join(p.Home, "run"),
		"TMPDIR=" + filepath.Join(p.Home, "tmp"),
		"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
	}
	if name == "" { // what was made once need not be made again
		if cache, err := os.UserCacheDir(); err == nil {
			p.Env = append(p.Env, "RL_TEST_CACHE="+filepath.Join(cache, "rl-test"))
		}
	}
	for _, k := range []string{"RL_TEST_REQUIRE", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"} {
		if v := os.Getenv(k); v != "" {
			p.Env = append(p.Env, k+"="+v)
		}
	}
	return p, nil
}

// Other reports whether this is somebody else than who runs this process.
func (p *Person) Other() bool { return p.cred != nil }

// mostProcesses is more than any test wants. A program that executes itself, as
// rl does, is one mistake away from filling the machine.
const mostProcesses = 2000

// Command is a program run as that person, in a process group of its own, so
// that what it leaves behind can be ended.
func (p *Person) Command(dir, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	if prlimit, err := exec.LookPath("prlimit"); err == nil && p.Other() {
		limit := fmt.Sprintf("--nproc=%d", mostProcesses)
		cmd = exec.Command(prlimit, append([]string{limit, "--", program}, args...)...)
	}
	if p.cgroup != nil {
		cmd = p.cgroup.command(cmd.Args, p.cred)
	}
	cmd.Dir = dir
	cmd.Env = append(slices.Clone(p.Env), "PWD="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: p.cred}
	if p.cgroup != nil {
		cmd.SysProcAttr.Credential = nil // it becomes that person itself, later
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(p.cgroup.dir.Fd())
	}
	return cmd
}
