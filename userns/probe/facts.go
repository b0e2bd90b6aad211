package probe

import (
	"bytes"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"rl/userns/idmap"
)

// Facts is what is known of a host. Each method looks once, when first asked.
// It is safe for several goroutines.
type Facts struct {
	h Host

	ids        memo[[2]int]
	initial    memo[bool]
	passwdLine memo[[]string]
	user       memo[string]
	nnp        memo[bool]
	caps       memo[uint64]
	uidMap     memo[idMap]
	gidMap     memo[idMap]
	setgroups  memo[bool]
	subUIDs    memo[subIDs]
	subGIDs    memo[subIDs]
	nssSubid   memo[string]
	newuidmap  memo[Tool]
	newgidmap  memo[Tool]
	osRelease  memo[map[string]string]
	store      memo[dirChoice]
	runtime    memo[dirChoice]
	usernsTry  memo[Outcome]
	procTrial  memo[Outcome]
	ovlTrial   memo[Outcome]
	tun        memo[error]
	cgroups    memo[cgroupMount]
	booted     memo[bool]
}

// New gives the facts of a host; New(Host{}) those of this machine.
func New(h Host) *Facts {
	h.fill()
	return &Facts{h: h}
}

// Quick gives the facts of this machine. Nothing is looked at yet.
func Quick() *Facts { return New(Host{}) }

// memo is a value that is found out once.
type memo[T any] struct {
	once sync.Once
	v    T
}

func (m *memo[T]) get(find func() T) T {
	m.once.Do(func() { m.v = find() })
	return m.v
}

// UID is the effective user id of the caller, in its user namespace.
func (f *Facts) UID() int { return f.who()[0] }

// GID is the effective group id of the caller.
func (f *Facts) GID() int { return f.who()[1] }

func (f *Facts) who() [2]int {
	return f.ids.get(func() [2]int { uid, gid := f.h.IDs(); return [2]int{uid, gid} })
}

// User is the caller's login name: from /etc/passwd, else (LDAP: this binary
// has no NSS) from $USER, else its number. newuidmap checks the name itself,
// so a wrong $USER gains nothing.
func (f *Facts) User() string {
	return f.user.get(func() string {
		if p := f.passwd(); p != nil {
			return p[0]
		}
		if u := f.h.Getenv("USER"); u != "" {
			return u
		}
		return strconv.Itoa(f.UID())
	})
}

// passwd gives the fields of the caller's line of /etc/passwd, or nil.
func (f *Facts) passwd() []string {
	return f.passwdLine.get(func() []string {
		b, _ := f.h.ReadFile("/etc/passwd")
		uid := []byte(":" + strconv.Itoa(f.UID()) + ":")
		for line := range bytes.Lines(b) {
			if !bytes.Contains(line, uid) {
				continue
			}
			p := strings.Split(strings.TrimSpace(string(line)), ":")
			if len(p) >= 6 && p[2] == strconv.Itoa(f.UID()) {
				return p
			}
		}
		return nil
	})
}

// Home is the caller's home directory: $HOME, else that of /etc/passwd, else "".
func (f *Facts) Home() string {
	if h := f.h.Getenv("HOME"); strings.HasPrefix(h, "/") {
		return h
	}
	if p := f.passwd(); p != nil {
		return p[5]
	}
	return ""
}

// HasCap reports whether the caller holds a capability (unix.CAP_*).
func (f *Facts) HasCap(c int) bool {
	return f.caps.get(func() uint64 { v, _ := f.h.Caps(); return v })&(1<<c) != 0
}

// NoNewPrivs reports whether setuid programs have no effect for the caller.
func (f *Facts) NoNewPrivs() bool { return f.nnp.get(f.h.NoNewPrivs) }

// Initial reports whether the caller is in the host's own user namespace. Its
// inode has a fixed number (0xEFFFFFFD, linux/proc_ns.h: PROC_USER_INIT_INO). One
// system call then stands for reading three files of /proc.
func (f *Facts) Initial() bool {
	return f.initial.get(func() bool {
		name, err := f.h.Readlink("/proc/self/ns/user")
		return err == nil && name == "user:[4026531837]"
	})
}

type idMap struct {
	rs  idmap.Ranges
	err error
}

// UIDs is the table of user ids of the caller's own user namespace. On a host
// it has all of them.
func (f *Facts) UIDs() (idmap.Ranges, error) {
	m := f.uidMap.get(func() idMap { return f.readMap("/proc/self/uid_map") })
	return m.rs, m.err
}

// GIDs is the table of group ids of the caller's own user namespace.
func (f *Facts) GIDs() (idmap.Ranges, error) {
	m := f.gidMap.get(func() idMap { return f.readMap("/proc/self/gid_map") })
	return m.rs, m.err
}

func (f *Facts) readMap(path string) (m idMap) {
	if f.Initial() {
		return idMap{rs: idmap.Ranges{{Size: 1<<32 - 1}}}
	}
	b, err := f.h.ReadFile(path)
	if err != nil {
		return idMap{err: err}
	}
	m.rs, m.err = idmap.ParseProcMap(bytes.NewReader(b), path)
	return m
}

// Setgroups reports whether setgroups(2) is allowed in this user namespace. A
// namespace made by `unshare -r` denies it, and so do all below it.
func (f *Facts) Setgroups() bool {
	return f.Initial() || f.setgroups.get(func() bool {
		b, err := f.h.ReadFile("/proc/self/setgroups")
		return err != nil || strings.TrimSpace(string(b)) != "deny"
	})
}

// sysctl reads a value under /proc/sys; ok is false when the host has none.
func (f *Facts) sysctl(name string) (value string, ok bool) {
	b, err := f.h.ReadFile("/proc/sys/" + name)
	return strings.TrimSpace(string(b)), err == nil
}

func (f *Facts) exists(path string) bool {
	var st unix.Stat_t
	return f.h.Lstat(path, &st) == nil
}
