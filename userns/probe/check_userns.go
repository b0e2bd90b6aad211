package probe

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

func (f *Facts) checkKernel() Check {
	release, machine := f.h.Uname()
	return info("Linux " + release + " on " + machine)
}

func (f *Facts) checkDistribution() Check {
	if name := f.OSRelease()["PRETTY_NAME"]; name != "" {
		return info(name)
	}
	return info("unknown")
}

func (f *Facts) checkUserns() Check {
	o := f.usernsOutcome()
	if o.Err == nil {
		return ok("user namespaces can be created and used")
	}
	if errors.Is(o.Err, errNoStage) {
		return failed("user namespaces cannot be tried", o.Err.Error(), "")
	}
	why, remedy := f.explainUserns(o.Err)
	fact := "user namespaces cannot be created: "
	if o.Step != "start" {
		fact = "user namespaces can be created, but not used (" + o.Step + "): "
	}
	return failed(fact+errText(o.Err), why, remedy)
}

func (f *Facts) checkUsernsLimit() Check {
	v, present := f.sysctl("user/max_user_namespaces")
	if !present {
		return info("this kernel sets no limit")
	}
	if v == "0" {
		_, remedy := f.explainLimit(unix.ENOSPC)
		return failed("user.max_user_namespaces is 0", "this host allows none", remedy)
	}
	return info("at most " + v + " user namespaces for a user")
}

const (
	nsMount  = unix.CLONE_NEWNS
	nsPID    = unix.CLONE_NEWPID
	nsNet    = unix.CLONE_NEWNET
	nsIPC    = unix.CLONE_NEWIPC
	nsUTS    = unix.CLONE_NEWUTS
	nsCgroup = unix.CLONE_NEWCGROUP
)

// namespace makes the check of one kind of namespace, below a user namespace.
func namespace(name string, flag uintptr) func(*Facts) Check {
	return func(f *Facts) Check {
		o := f.h.Try(Trial{Name: "true", Flags: unix.CLONE_NEWUSER | flag})
		if o.Err == nil {
			return ok("can be created")
		}
		fact := "cannot be created: " + errText(o.Err)
		if f.usernsOutcome().Step == "start" {
			return failed(fact, "user namespaces cannot be created", "")
		}
		if errors.Is(o.Err, unix.ENOSPC) {
			if max, present := f.sysctl("user/max_" + strings.TrimSuffix(name, "ns") + "_namespaces"); present {
				return failed(fact, "the limit of "+max+" is used up", persist("user.max_"+strings.TrimSuffix(name, "ns")+"_namespaces=63414"))
			}
		}
		if errors.Is(o.Err, unix.EINVAL) {
			return failed(fact, "this kernel was built without it", "")
		}
		return failed(fact, "a seccomp filter or a security module forbids it", "")
	}
}

// Nested tells in what the caller already is.
type Nested struct {
	// In is "docker", "podman", "kubernetes", "lxc", "apptainer", "wsl" or another
	// name by which a container calls itself; "" on a plain host.
	In string
	// Userns is true in a user namespace that is not the host's.
	Userns bool
}

// Nested finds out in what the caller already is.
func (f *Facts) Nested() Nested {
	return Nested{In: f.container(), Userns: !f.Initial()}
}

func (f *Facts) container() string {
	if f.exists("/run/.containerenv") {
		return "podman"
	}
	if f.exists("/.dockerenv") {
		return "docker"
	}
	for _, v := range []struct{ env, name string }{
		{"APPTAINER_CONTAINER", "apptainer"}, {"SINGULARITY_CONTAINER", "apptainer"},
		{"KUBERNETES_SERVICE_HOST", "kubernetes"},
	} {
		if f.h.Getenv(v.env) != "" {
			return v.name
		}
	}
	if v := f.h.Getenv("container"); v != "" { // systemd's convention, kept by most
		return v
	}
	if b, err := f.h.ReadFile("/run/systemd/container"); err == nil {
		return strings.TrimSpace(string(b))
	}
	b, _ := f.h.ReadFile("/proc/self/cgroup")
	for _, v := range []struct{ part, name string }{
		{"kubepods", "kubernetes"}, {"/docker", "docker"}, {"libpod", "podman"}, {"/lxc", "lxc"}, {"machine.slice", "machine"},
	} {
		if strings.Contains(string(b), v.part) {
			return v.name
		}
	}
	if release, _ := f.h.Uname(); strings.Contains(strings.ToLower(release), "microsoft") {
		return "wsl"
	}
	return ""
}

func (f *Facts) checkNested() Check {
	n := f.Nested()
	var in []string
	if n.In != "" {
		in = append(in, "inside "+n.In)
	}
	if n.Userns {
		uids, _ := f.UIDs()
		in = append(in, fmt.Sprintf("in a user namespace with %s", plural(uids.Size(), "id")))
	}
	if f.filtered() {
		in = append(in, "under a seccomp filter")
	}
	if f.chrooted() {
		in = append(in, "in a chroot")
	}
	if in == nil {
		return info("on a host, in no container")
	}
	return info(strings.Join(in, ", "))
}

func (f *Facts) checkNoNewPrivs() Check {
	if f.NoNewPrivs() {
		return missed("set", "setuid programs such as newuidmap have no effect in this process", "start rl outside of whatever set it")
	}
	return ok("not set")
}

// checkLSM shows the security modules that get in the way of containers.
func (f *Facts) checkLSM() Check {
	var have []string
	if b, err := f.h.ReadFile("/sys/kernel/security/lsm"); err == nil {
		have = append(have, strings.TrimSpace(string(b)))
	}
	if b, err := f.h.ReadFile("/sys/fs/selinux/enforce"); err == nil {
		state := "SELinux permissive"
		if strings.TrimSpace(string(b)) == "1" {
			state = "SELinux enforcing"
		}
		have = append(have, state)
	}
	if b, err := f.h.ReadFile("/proc/self/attr/apparmor/current"); err == nil {
		have = append(have, "AppArmor profile "+strings.TrimSpace(string(b)))
	}
	if v, present := f.sysctl("kernel/yama/ptrace_scope"); present {
		have = append(have, "Yama ptrace_scope "+v)
	}
	if v, present := f.sysctl("kernel/apparmor_restrict_unprivileged_userns"); present && v != "0" {
		have = append(have, "AppArmor restricts user namespaces")
	}
	if have == nil {
		return info("none seen")
	}
	return info(strings.Join(have, "; "))
}
