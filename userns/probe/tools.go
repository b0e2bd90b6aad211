package probe

import (
	"encoding/binary"
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// Tool is newuidmap or newgidmap as found on the host. Problem says why it
// cannot be used, and Remedy what an administrator can do; both are empty when
// it can.
type Tool struct {
	Path            string
	Problem, Remedy string
}

// Usable reports whether the tool can do its work.
func (t Tool) Usable() bool { return t.Path != "" && t.Problem == "" }

// Newuidmap finds the helper that writes subordinate user ids into a map.
func (f *Facts) Newuidmap() Tool {
	return f.newuidmap.get(func() Tool { return f.findMapper("newuidmap", unix.CAP_SETUID) })
}

// Newgidmap finds the helper that writes subordinate group ids into a map.
func (f *Facts) Newgidmap() Tool {
	return f.newgidmap.get(func() Tool { return f.findMapper("newgidmap", unix.CAP_SETGID) })
}

// places are the directories where programs are looked for: first where
// distributions put them, then PATH (that of a batch job or a cron line is
// often short), then NixOS's own place for setuid programs.
func (f *Facts) places(yield func(string) bool) {
	for _, list := range []string{"/usr/bin", f.h.Getenv("PATH"), "/bin:/usr/sbin:/sbin:/usr/local/bin:/run/wrappers/bin"} {
		for dir := range strings.SplitSeq(list, ":") {
			// A relative entry would find whatever lies in the working directory.
			if strings.HasPrefix(dir, "/") && !yield(dir) {
				return
			}
		}
	}
}

// lookPath finds a program.
func (f *Facts) lookPath(name string) (string, bool) {
	for dir := range f.places {
		if p := dir + "/" + name; f.h.Access(p, unix.X_OK) == nil {
			return p, true
		}
	}
	return "", false
}

// findMapper finds the first name that would gain the capability it needs when
// the caller executes it; when there is none, it tells what is wrong with the
// first that is there. It is cheap, and so cannot see everything (an LSM, a
// mount that belongs to another user namespace): the check "subids" can.
func (f *Facts) findMapper(name string, capability int) Tool {
	var t Tool
	for dir := range f.places {
		path := dir + "/" + name
		var st unix.Stat_t
		if f.h.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		found := f.judgeMapper(path, &st, capability)
		if found.Problem == "" {
			return found
		}
		if t.Path == "" {
			t = found
		}
	}
	if t.Path != "" {
		return t
	}
	return Tool{Problem: name + " is not installed", Remedy: f.installShadow()}
}

// judgeMapper tells whether executing path gives the capability.
func (f *Facts) judgeMapper(path string, st *unix.Stat_t, capability int) Tool {
	t := Tool{Path: path}
	setuid := st.Mode&unix.S_ISUID != 0 && st.Uid == 0
	var fs unix.Statfs_t
	switch {
	case f.h.Access(path, unix.X_OK) != nil:
		t.Problem = path + " may not be executed by " + f.User()
		t.Remedy = "let " + f.User() + " execute it (its mode, owner or group keep others out)"
	case !setuid && !f.fileCap(path, capability):
		t.Problem = path + " is neither setuid root nor has " + capName(capability) + " as file capability"
		t.Remedy = "chown root " + path + " && chmod u+s " + path
	case f.NoNewPrivs():
		t.Problem = "no_new_privs is set for this process, so setuid programs have no effect"
		t.Remedy = "start rl outside of whatever set it (a sandbox, a systemd unit with NoNewPrivileges=, a container with no-new-privileges)"
	case !f.h.Bounding(uintptr(capability)):
		t.Problem = capName(capability) + " was taken out of the bounding set, so " + path + " cannot get it"
		t.Remedy = "let the outer container keep it: --cap-add " + strings.TrimPrefix(capName(capability), "CAP_")
	case f.h.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0:
		t.Problem = path + " is on a filesystem mounted nosuid"
		t.Remedy = "mount it without nosuid, or install newuidmap and newgidmap elsewhere"
	}
	return t
}

// fileCap reports whether a file's security.capability permits the capability
// and makes it effective. Layout: linux/capability.h, struct vfs_cap_data.
func (f *Facts) fileCap(path string, capability int) bool {
	buf := make([]byte, 24)
	n, err := f.h.Xattr(path, "security.capability", buf)
	if err != nil || n < 12 {
		return false
	}
	effective := binary.LittleEndian.Uint32(buf)&1 != 0
	permitted := binary.LittleEndian.Uint32(buf[4:]) // both ids are below 32
	return effective && permitted&(1<<capability) != 0
}

func capName(c int) string {
	switch c {
	case unix.CAP_SETUID:
		return "CAP_SETUID"
	case unix.CAP_SETGID:
		return "CAP_SETGID"
	}
	return "CAP_SETFCAP"
}

// installShadow is the line that installs newuidmap on this distribution.
func (f *Facts) installShadow() string {
	os := f.OSRelease()
	for id := range strings.FieldsSeq(os["ID"] + " " + os["ID_LIKE"]) {
		switch id {
		case "debian", "ubuntu":
			return "apt-get install uidmap"
		case "fedora", "rhel", "centos":
			return "dnf install shadow-utils"
		case "arch":
			return "pacman -S shadow"
		case "suse", "opensuse", "sles":
			return "zypper install shadow"
		case "alpine":
			return "apk add shadow-uidmap"
		case "gentoo":
			return "emerge sys-apps/shadow"
		case "nixos":
			return "set security.wrappers for newuidmap and newgidmap (they come with users.users.NAME.subUidRanges)"
		}
	}
	return "install newuidmap and newgidmap (package uidmap on Debian and Ubuntu, shadow-utils on Fedora, shadow on Arch and SUSE)"
}

// install is the line that installs a package which has one name on every
// distribution.
func (f *Facts) install(name, otherwise string) string {
	os := f.OSRelease()
	for id := range strings.FieldsSeq(os["ID"] + " " + os["ID_LIKE"]) {
		switch id {
		case "debian", "ubuntu":
			return "apt-get install " + name
		case "fedora", "rhel", "centos":
			return "dnf install " + name
		case "arch":
			return "pacman -S " + name
		case "suse", "opensuse", "sles":
			return "zypper install " + name
		case "alpine":
			return "apk add " + name
		}
	}
	return otherwise
}

// OSRelease is /etc/os-release as key and value.
func (f *Facts) OSRelease() map[string]string {
	return f.osRelease.get(func() map[string]string {
		b, err := f.h.ReadFile("/etc/os-release")
		if err != nil {
			b, _ = f.h.ReadFile("/usr/lib/os-release")
		}
		m := map[string]string{}
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				m[k] = strings.Trim(v, `"'`)
			}
		}
		return m
	})
}

func isMissing(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR)
}
