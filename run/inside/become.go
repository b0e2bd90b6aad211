package inside

import (
	"syscall"

	"rl/run/inside/passwd"
	"rl/run/inside/program"
	"rl/userns/sys/raw"
)

const lastCap = 63

// become turns the process into the workload's user, in the workload's
// directory, under the workload's filters.
//
// Capabilities go by the bounding set: execve(2) of a root process grants the
// bounding set and what is inheritable, that of any other user nothing. So the
// process keeps what it needs for the filters until the very last call, and on
// the single-id rung, where the filter makes capset(2) succeed without doing, no
// call after the filter is needed.
func become(p *program.Program) error {
	u, err := findUser(p)
	if err != nil {
		return err
	}
	p.Env = withHome(p.Env, u.home)
	late := enter(p.Cwd, p.Join == 0)
	if err := raw.JoinSessionKeyring(); err != nil && len(p.Filter) == 0 {
		notice("the session keyring is the caller's: " + err.Error())
	}
	for c := uint(0); c <= lastCap; c++ {
		if p.Caps&(1<<c) != 0 {
			continue
		}
		if err := raw.DropBounding(c); err == syscall.EINVAL {
			break
		} else if err != nil {
			return fail("drop a capability", err)
		}
	}
	if err := raw.ClearAmbient(); err != nil && err != syscall.EINVAL {
		return fail("clear the ambient capabilities", err)
	}
	if err := raw.ClearInheritable(); err != nil {
		return fail("clear the inheritable capabilities", err)
	}
	if p.SetUmask {
		syscall.Umask(int(p.Umask))
	}
	if p.NoNewPriv {
		if err := raw.SetNoNewPrivs(); err != nil {
			return fail("set no_new_privs", err)
		}
	}
	if u.uid != 0 {
		ownStdio(p, u.uid, u.gid)
	}
	if err := filters(p); err != nil {
		return err
	}
	if !p.SingleID {
		if err := switchTo(u, p.KeepGroups); err != nil {
			return err
		}
	}
	if late != nil { // a directory that only the user may enter, not root
		if err := enter(p.Cwd, false); err != nil {
			return &failure{what: "enter the working directory " + p.Cwd, err: err, code: 126}
		}
	}
	return nil
}

type user struct {
	uid, gid int
	groups   []int
	home     string
}

// findUser reads "name", "uid", "name:group", … in the image's own passwd and
// group files. As with docker, a number need not be in them; it has group 0 then.
func findUser(p *program.Program) (u user, err error) {
	who, group := cut(p.User, ':')
	if who == "" {
		who = "0"
	}
	users := slurp("/etc/passwd")
	if p.SingleID {
		uid, gid := syscall.Getuid(), syscall.Getgid()
		if p.Join != 0 {
			onlyUser(users, who, uid)
		}
		_, _, home, _ := passwd.FindUser(users, itoa(uid))
		return user{uid: uid, gid: gid, home: home}, nil
	}
	var ok bool
	if u.uid, u.gid, u.home, ok = passwd.FindUser(users, who); !ok {
		if u.uid, ok = passwd.ID(who); !ok {
			return u, &failure{what: "unable to find user " + who + ": no matching entries in the image's /etc/passwd", code: 125}
		}
	}
	var groups []byte
	if group != "" || len(p.Groups) > 0 || len(users) > 0 {
		groups = slurp("/etc/group")
	}
	if group == "" {
		u.groups = passwd.Groups(groups, who)
	} else if u.gid, ok = findGroup(groups, group); !ok {
		return u, &failure{what: "unable to find group " + group + ": no matching entries in the image's /etc/group", code: 125}
	}
	for _, g := range p.Groups {
		gid, ok := findGroup(groups, g)
		if !ok {
			return u, &failure{what: "unable to find group " + g + ": no matching entries in the image's /etc/group", code: 125}
		}
		u.groups = append(u.groups, gid)
	}
	return u, nil
}

// onlyUser says that a program cannot be another's than the container's one user's.
func onlyUser(users []byte, who string, uid int) {
	id, _, _, ok := passwd.FindUser(users, who)
	if !ok {
		id, ok = passwd.ID(who)
	}
	if !ok || id != uid {
		notice("the program is user " + itoa(uid) + ", not " + who + ": there is one id here, and the container was started as that")
	}
}

func findGroup(groups []byte, name string) (int, bool) {
	if gid, ok := passwd.FindGroup(groups, name); ok {
		return gid, true
	}
	return passwd.ID(name)
}

func switchTo(u user, keepGroups bool) error {
	why := func(what string, id int, err error) error {
		if err == syscall.EINVAL {
			return &failure{what: what + " " + itoa(id) + " is not mapped into this container: the caller has too few subordinate ids for it", code: 125}
		}
		return fail("set "+what+" "+itoa(id), err)
	}
	// The raw calls: package syscall's would change every thread, and the others
	// of this process end with execve(2).
	if !keepGroups {
		groups := make([]uint32, len(u.groups))
		for i, g := range u.groups {
			groups[i] = uint32(g)
		}
		if err := raw.Setgroups(groups); err != nil {
			return fail("set the supplementary groups", err)
		}
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESGID, uintptr(u.gid), uintptr(u.gid), uintptr(u.gid)); e != 0 {
		return why("group id", u.gid, e)
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(u.uid), uintptr(u.uid), uintptr(u.uid)); e != 0 {
		return why("user id", u.uid, e)
	}
	return nil
}

func withHome(env []string, home string) []string {
	for _, kv := range env {
		if name, _ := cut(kv, '='); name == "HOME" {
			return env
		}
	}
	if home == "" {
		home = "/"
	}
	return append(env, "HOME="+home)
}

// enter goes to the working directory, which a new container makes if it is
// missing, as docker does.
func enter(cwd string, missing bool) error {
	if missing {
		if err := mkdirAll(cwd, 0o755); err != nil {
			return err
		}
		return syscall.Chdir(cwd)
	}
	// The container has been running, and may have made links.
	fd, err := raw.Open(cwd, oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return syscall.Fchdir(fd)
}
