package netlab

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// ids is the map of the lab's user namespace. The user keeps the number that
// they have outside; around it are the subordinate ids, if there are any, of
// which the user has some in the lab's own /etc/subuid.
type ids struct {
	uid, gid int
	lines    [2][]syscall.SysProcIDMap // of users, of groups
	helpers  bool                      // newuidmap and newgidmap must write them
	mapped   bool                      // there are more ids than the user's
	inner    string                    // the lab's /etc/subuid and /etc/subgid
}

func mapping(subids bool) (ids, error) {
	m := ids{uid: os.Getuid(), gid: os.Getgid()}
	if !subids {
		m.lines = [2][]syscall.SysProcIDMap{{{ContainerID: m.uid, HostID: m.uid, Size: 1}}, {{ContainerID: m.gid, HostID: m.gid, Size: 1}}}
		return m, nil
	}
	me, err := user.Current()
	if err != nil {
		return m, err
	}
	m.helpers, m.mapped = true, true
	for i, file := range []string{"/etc/subuid", "/etc/subgid"} {
		start, size, err := granted(file, me)
		if err != nil {
			return m, err
		}
		own := []int{m.uid, m.gid}[i]
		if own >= size {
			return m, fmt.Errorf("id %d is not among the first %d", own, size)
		}
		m.lines[i] = []syscall.SysProcIDMap{
			{ContainerID: 0, HostID: start, Size: own},
			{ContainerID: own, HostID: own, Size: 1},
			{ContainerID: own + 1, HostID: start + own, Size: size - own},
		}
		if own == 0 {
			m.lines[i] = m.lines[i][1:]
		}
	}
	first := max(m.uid, m.gid) + 1
	_, size, _ := granted("/etc/subuid", me)
	m.inner = fmt.Sprintf("%s:%d:%d\n", me.Username, first, size-first)
	return m, nil
}

func granted(file string, u *user.User) (start, size int, err error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		p := strings.Split(strings.TrimSpace(s.Text()), ":")
		if len(p) == 3 && (p[0] == u.Username || p[0] == u.Uid) {
			if start, err = strconv.Atoi(p[1]); err == nil {
				size, err = strconv.Atoi(p[2])
			}
			return start, size, err
		}
	}
	return 0, 0, fmt.Errorf("%s has nothing for %s", file, u.Username)
}

// direct has package syscall write the map, when the user may.
func (m ids) direct(attr *syscall.SysProcAttr) {
	if !m.helpers {
		attr.UidMappings, attr.GidMappings = m.lines[0], m.lines[1]
	}
}

func (m ids) write(pid int) error {
	if !m.helpers {
		return nil
	}
	for i, helper := range []string{"newuidmap", "newgidmap"} {
		args := []string{strconv.Itoa(pid)}
		for _, l := range m.lines[i] {
			args = append(args, strconv.Itoa(l.ContainerID), strconv.Itoa(l.HostID), strconv.Itoa(l.Size))
		}
		if out, err := exec.Command(helper, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", helper, err, out)
		}
	}
	return nil
}

func allCaps() []uintptr {
	last := 40
	if raw, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(raw))); err == nil {
			last = n
		}
	}
	caps := make([]uintptr, last+1)
	for i := range caps {
		caps[i] = uintptr(i)
	}
	return caps
}
