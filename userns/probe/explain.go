package probe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// UsernsError explains why a user namespace could not be made or used. err is
// what clone(2), the writing of the map, or the first mount inside said. The
// kernel says only EPERM for a dozen causes; the rest is read from the host.
func (f *Facts) UsernsError(err error) *fault.Error {
	why, remedy := f.explainUserns(err)
	return fault.New(remedy, "cannot create a user namespace: %w: %s", err, why)
}

// explainUserns tells the cause of a refusal and what to do about it.
func (f *Facts) explainUserns(err error) (why, remedy string) {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return f.explainLimit(err)
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
		if f.filtered() {
			return "the seccomp filter of an outer container or sandbox does not know it", outerSeccomp
		}
		return "this kernel was built without user namespaces (CONFIG_USER_NS)", "boot a kernel that has them"
	case errors.Is(err, unix.EAGAIN):
		return "too many processes for this user (RLIMIT_NPROC) or its cgroup (pids.max)", "raise the limit (ulimit -u), or end processes"
	case errors.Is(err, unix.ENOMEM):
		return "out of memory", "free some memory"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return f.explainPermission()
	}
	return "the kernel refused", ""
}

func (f *Facts) explainLimit(err error) (why, remedy string) {
	if errors.Is(err, unix.EUSERS) { // before Linux 4.9 (df75e7748bae) that was the error for depth
		return "user namespaces are nested too deep (32 at most)", "start rl further out"
	}
	v, ok := f.sysctl("user/max_user_namespaces")
	switch {
	case ok && v == "0": // RHEL 7's default
		return "this host allows none (user.max_user_namespaces=0)", persist("user.max_user_namespaces=28633")
	case ok:
		return "the limit of " + v + " for a user is used up, here or in an outer container (user.max_user_namespaces), or they are nested more than 32 deep",
			"end other containers, or " + persist("user.max_user_namespaces=63414")
	}
	return "the limit of user namespaces is used up", "end other containers"
}

const outerSeccomp = "start the outer container with --security-opt seccomp=unconfined (or with a profile that allows clone, unshare, setns and mount)"

// explainPermission goes through the causes of EPERM and EACCES, the certain
// ones first.
func (f *Facts) explainPermission() (why, remedy string) {
	if v, ok := f.sysctl("kernel/unprivileged_userns_clone"); ok && v == "0" { // Debian <= 10, Arch's linux-hardened
		return "this host keeps them for root (kernel.unprivileged_userns_clone=0)", persist("kernel.unprivileged_userns_clone=1")
	}
	if v, ok := f.sysctl("kernel/apparmor_restrict_unprivileged_userns"); ok && v != "0" { // Ubuntu >= 23.10
		return "AppArmor restricts them on this host (kernel.apparmor_restrict_unprivileged_userns=" + v + ")", f.appArmorRemedy()
	}
	if v, ok := f.sysctl("user/max_user_namespaces"); ok && v == "0" {
		return "this host allows none (user.max_user_namespaces=0)", persist("user.max_user_namespaces=28633")
	}
	if uids, err := f.UIDs(); err == nil && !exists(uids, f.UID()) {
		return fmt.Sprintf("uid %d does not exist in this user namespace", f.UID()), "start rl as a user that the outer container maps"
	}
	if f.filtered() {
		return "the seccomp filter of an outer container or sandbox forbids it", outerSeccomp
	}
	if f.chrooted() {
		return "this process is in a chroot, where the kernel forbids it", "start rl outside of the chroot, or enter it by pivot_root"
	}
	if b, err := f.h.ReadFile("/sys/fs/selinux/enforce"); err == nil && strings.TrimSpace(string(b)) == "1" {
		return "perhaps SELinux forbids it", "ausearch -m avc -ts recent shows the rule that was broken"
	}
	return "the kernel forbids it, and nothing on this host says why (a chroot or a security module may)", ""
}

// persist is the line that sets a sysctl now and at every boot.
func persist(setting string) string {
	return "echo " + setting + " > /etc/sysctl.d/50-rl.conf && sysctl -p /etc/sysctl.d/50-rl.conf"
}

// AppArmorProfile is a profile that lets the program at path make user
// namespaces and confines it no further, as Ubuntu ships for other programs.
func AppArmorProfile(path string) string {
	return "abi <abi/4.0>,\ninclude <tunables/global>\n\nprofile rl " + quoteAppArmor(path) +
		" flags=(unconfined) {\n  userns,\n  include if exists <local/rl>\n}\n"
}

func quoteAppArmor(path string) string {
	if strings.ContainsAny(path, " \t\"*?[]{}") {
		return `"` + strings.NewReplacer(`"`, `\"`, "*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`).Replace(path) + `"`
	}
	return path
}

func (f *Facts) appArmorRemedy() string {
	return "as root, write this to /etc/apparmor.d/rl and run `apparmor_parser -r /etc/apparmor.d/rl`:\n" + AppArmorProfile(f.exe())
}

// exe is the path of this program, for the texts of remedies.
func (f *Facts) exe() string {
	exe, err := os.Executable()
	if err != nil {
		return "/usr/local/bin/rl"
	}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		return real
	}
	return exe
}

// filtered reports whether this process runs under a seccomp filter.
func (f *Facts) filtered() bool { return f.status("Seccomp") == "2" }

// status is one value of /proc/self/status.
func (f *Facts) status(key string) string {
	b, _ := f.h.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// explainOverlay tells why the overlay could not be used.
func (f *Facts) explainOverlay(o Outcome) (why, remedy string) {
	if o.Step == "start" || o.Step == "map" || o.Step == "mount" {
		return f.explainUserns(o.Err)
	}
	why = fmt.Sprintf("%s: %v", o.Step, o.Err)
	c, err := Store(f)
	if err != nil || o.Step != "mount overlay" {
		return why, ""
	}
	_, fs, _ := f.statfsUp(c.Path)
	name, _ := fsType(int64(fs.Type))
	switch {
	case errors.Is(o.Err, unix.ENODEV):
		return "this kernel has no overlayfs", "modprobe overlay"
	case errors.Is(o.Err, unix.EPERM): // Linux < 5.11 (459c7c565ac3), except Ubuntu's and Debian's patched ones
		return "this kernel does not allow overlayfs in a user namespace", "boot Linux 5.11 or later"
	case errors.Is(o.Err, unix.EINVAL):
		return "overlayfs refuses the store's filesystem (" + name + "), or this kernel does not know userxattr (before 5.11)",
			"set RL_ROOT to a directory on ext4, xfs or btrfs"
	}
	return why + " on " + name, ""
}
