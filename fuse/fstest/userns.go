package fstest

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// idmap is what the namespace's ids are outside: lines of inside, outside, count.
type idmap struct {
	uids, gids []syscall.SysProcIDMap
	helper     bool // written by newuidmap and newgidmap
}

// mapping finds the map of a name for this user.
func mapping(name string) (idmap, error) {
	self := idmap{
		uids: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		gids: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if name == "single" {
		return self, nil
	}
	me, err := user.Current()
	if err != nil {
		return idmap{}, err
	}
	if _, err := exec.LookPath("newuidmap"); err != nil {
		return idmap{}, err
	}
	uid, err1 := subordinate("/etc/subuid", me)
	gid, err2 := subordinate("/etc/subgid", me)
	if err := errors.Join(err1, err2); err != nil {
		return idmap{}, err
	}
	self.uids, self.gids, self.helper = append(self.uids, uid), append(self.gids, gid), true
	return self, nil
}

// rootMap is for root without any user to become: ids nobody has.
func rootMap() idmap {
	m := []syscall.SysProcIDMap{{HostID: 100_000, Size: 65_536}}
	return idmap{uids: m, gids: m}
}

func subordinate(file string, u *user.User) (m syscall.SysProcIDMap, err error) {
	f, err := os.Open(file)
	if err != nil {
		return m, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		part := strings.Split(strings.TrimSpace(lines.Text()), ":")
		if len(part) != 3 || part[0] != u.Username && part[0] != u.Uid {
			continue
		}
		start, err1 := strconv.Atoi(part[1])
		count, err2 := strconv.Atoi(part[2])
		return syscall.SysProcIDMap{ContainerID: 1, HostID: start, Size: count}, errors.Join(err1, err2)
	}
	return m, fmt.Errorf("%s has no line for %s", file, u.Username)
}

// inside runs the tests in a new user and mount namespace.
func inside(name string, m idmap) (int, error) {
	fmt.Printf("fstest: user %d, map %s\n", os.Getuid(), name)
	r, w, err := os.Pipe()
	if err != nil {
		return 1, err
	}
	cmd, err := again("inside", r)
	if err != nil {
		return 1, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS}
	if m.helper {
		// An exec before the maps are written loses the capabilities of the new
		// namespace, unless they are ambient.
		if cmd.SysProcAttr.AmbientCaps, err = allCaps(); err != nil {
			return 1, err
		}
	} else {
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = m.uids, m.gids
		cmd.SysProcAttr.GidMappingsEnableSetgroups = os.Getuid() == 0
	}
	if err := cmd.Start(); err != nil {
		return 1, errors.Join(err, w.Close())
	}
	word := "go"
	if m.helper {
		if err = errors.Join(write("newuidmap", cmd.Process.Pid, m.uids), write("newgidmap", cmd.Process.Pid, m.gids)); err != nil {
			word = "no"
		}
	}
	_, werr := w.WriteString(word)
	err = errors.Join(err, werr, w.Close(), r.Close())
	werr = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(werr, &exit) {
		return max(exit.ExitCode(), 1), err
	}
	return 0, errors.Join(err, werr)
}

func write(tool string, pid int, maps []syscall.SysProcIDMap) error {
	args := []string{strconv.Itoa(pid)}
	for _, m := range maps {
		args = append(args, strconv.Itoa(m.ContainerID), strconv.Itoa(m.HostID), strconv.Itoa(m.Size))
	}
	out, err := exec.Command(tool, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", tool, err, out)
	}
	return nil
}

func allCaps() ([]uintptr, error) {
	data, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return nil, err
	}
	last, err := strconv.Atoi(strings.TrimSpace(string(data)))
	var caps []uintptr
	for c := range last + 1 {
		caps = append(caps, uintptr(c))
	}
	return caps, err
}

func credential(u *user.User) (*syscall.Credential, error) {
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}
