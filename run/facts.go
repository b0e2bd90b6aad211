package run

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rl/run/inside/seccomp"
	"rl/run/plan"
)

// facts gathers what the plan must know.
func (p *preparation) facts() (*plan.Facts, error) {
	dir := p.State.Dir(p.rec)
	host, _ := os.Hostname()
	f := &plan.Facts{
		ID: p.rec.ID, Map: p.id.Map, SingleID: p.id.Single, Network: p.network, Cgroup2: p.cgroup2, Hostname: host,
		FilesDir: filepath.Join(dir, "files"), Volume: p.volumeOf, Caps: lastCap(),
		IsDir: isDir,
		Seccomp: func(path string, caps []string) (*specs.LinuxSeccomp, error) {
			if path == "" || path == "builtin" {
				return seccomp.Default(caps)
			}
			return seccomp.Load(path, caps)
		},
	}
	h := p.netFacts()
	h.Other = p.conn.other
	var err error
	if h.Joined, err = p.lease(); err != nil {
		return nil, err
	}
	if p.net, err = plan.Network(p.image, &p.Flags, h); err != nil {
		return nil, err
	}
	f.Net = p.net
	f.Resolv, _ = os.ReadFile(resolvConf)
	f.Hosts, _ = os.ReadFile("/etc/hosts")
	if p.Flags.Privileged {
		f.HostDevices = hostDevices()
	}
	return f, nil
}

func isDir(path string) (bool, error) {
	st, err := os.Stat(path)
	if err != nil {
		return false, errors.Unwrap(err)
	}
	return st.IsDir(), nil
}

func lastCap() int {
	data, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			return n
		}
	}
	return unix.CAP_LAST_CAP
}

// hostDevices lists the devices of the host that the caller may open at all.
func hostDevices() []string {
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries {
		path := "/dev/" + e.Name()
		if e.Type()&os.ModeDevice != 0 && !ours(e.Name()) && unix.Access(path, unix.R_OK) == nil {
			all = append(all, path)
		}
	}
	return all
}

// ours are the devices that every container has, and those it must not have twice.
func ours(name string) bool {
	switch name {
	case "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx":
		return true
	}
	return strings.HasPrefix(name, "tty") || strings.HasPrefix(name, "vcs")
}
