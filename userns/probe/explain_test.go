package probe

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Every refusal of a user namespace is told apart, and says what to do.
func TestUsernsError(t *testing.T) {
	sys := func(name, v string) func(*fake) {
		return func(k *fake) { k.files["/proc/sys/"+name] = v + "\n" }
	}
	filter := func(k *fake) { k.files["/proc/self/status"] = "Name:\trl\nSeccomp:\t2\n" }
	for _, c := range []struct {
		name        string
		err         error
		edit        func(*fake)
		why, remedy string
	}{
		{"Debian 10", unix.EPERM, sys("kernel/unprivileged_userns_clone", "0"), "kernel.unprivileged_userns_clone=0", "kernel.unprivileged_userns_clone=1"},
		{"Debian 12 elsewhere", unix.EPERM, sys("kernel/unprivileged_userns_clone", "1"), "nothing on this host says why", ""},
		{"RHEL 7", unix.ENOSPC, sys("user/max_user_namespaces", "0"), "user.max_user_namespaces=0", "user.max_user_namespaces=28633"},
		{"limit used up", unix.ENOSPC, sys("user/max_user_namespaces", "100"), "the limit of 100", "end other containers"},
		{"Ubuntu 24.04", unix.EACCES, sys("kernel/apparmor_restrict_unprivileged_userns", "1"), "AppArmor restricts them", "flags=(unconfined) {\n  userns,"},
		{"Ubuntu, not restricted", unix.EPERM, sys("kernel/apparmor_restrict_unprivileged_userns", "0"), "nothing on this host says why", ""},
		{"docker's filter", unix.EPERM, filter, "seccomp filter of an outer container", "seccomp=unconfined"},
		{"old docker's filter", unix.ENOSYS, filter, "seccomp filter of an outer container", "seccomp=unconfined"},
		{"chroot", unix.EPERM, func(k *fake) {
			k.files["/proc/self/mountinfo"] = "22 27 0:21 / /proc rw - proc proc rw\n"
		}, "chroot", "outside of the chroot"},
		{"id not mapped", unix.EPERM, func(k *fake) { k.inside("0 100000 1000\n", "allow") }, "uid 1000 does not exist", "that the outer container maps"},
		{"SELinux", unix.EACCES, func(k *fake) { k.files["/sys/fs/selinux/enforce"] = "1" }, "SELinux", "ausearch"},
		{"too deep, old", unix.EUSERS, nil, "nested too deep", "further out"},
		{"no user namespaces", unix.EINVAL, nil, "CONFIG_USER_NS", "boot a kernel"},
		{"no user namespaces at all", unix.ENOSYS, nil, "CONFIG_USER_NS", "boot a kernel"},
		{"processes", unix.EAGAIN, nil, "RLIMIT_NPROC", "ulimit -u"},
		{"memory", unix.ENOMEM, nil, "out of memory", ""},
		{"other", unix.EIO, nil, "the kernel refused", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := host()
			if c.edit != nil {
				c.edit(&k)
			}
			e := k.facts(t).UsernsError(c.err)
			if !strings.Contains(e.Error(), c.why) || !strings.Contains(e.Hint, c.remedy) {
				t.Errorf("%q, hint %q; want %q, %q", e, e.Hint, c.why, c.remedy)
			}
			if !errors.Is(e, c.err) {
				t.Errorf("%v does not wrap %v", e, c.err)
			}
			// The doctor says the same.
			k.edit = func(h *Host) { h.Try = func(Trial) Outcome { return Outcome{Step: "start", Err: c.err} } }
			if got := k.facts(t).Check("userns"); got.Status != StatusFailed || !strings.Contains(got.Reason, c.why) || !strings.Contains(got.Remedy, c.remedy) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAppArmorProfile(t *testing.T) {
	for path, want := range map[string]string{
		"/usr/local/bin/rl":     "profile rl /usr/local/bin/rl flags=(unconfined) {\n  userns,\n",
		"/home/a b/{rl}":        `profile rl "/home/a b/\{rl\}" flags`,
		"/home/ann/build[1]/rl": `"/home/ann/build\[1\]/rl"`,
	} {
		if got := AppArmorProfile(path); !strings.Contains(got, want) {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestRanges(t *testing.T) {
	used := granted("a:100000:65536\nb:165536:65536\n# c:231072:65536\nbroken\nd:300000:1\ne:x:1\n")
	if s, ok := freeSpan(used, 100000, 65536); !ok || spanText(s) != "231072-296607" {
		t.Errorf("%v %v", s, ok)
	}
	if s, ok := freeSpan(nil, 100000, 65536); !ok || spanText(s) != "100000-165535" {
		t.Errorf("%v %v", s, ok)
	}
	if s, ok := freeSpan(granted("a:0:4294967295"), 100000, 65536); ok {
		t.Errorf("%v", s)
	}
}
