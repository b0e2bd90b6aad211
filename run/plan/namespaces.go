package plan

import (
	"syscall"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

// namespaces decides which are the container's own. User and mount namespace
// always are.
func (p *Plan) namespaces(_ *v1.ImageConfig, f *Flags, h *Facts) error {
	own, err := Namespaces(f, h.Network, h.Cgroup2)
	if err != nil {
		return err
	}
	for _, kind := range own {
		p.Spec.Linux.Namespaces = append(p.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
	}
	private := p.Private(specs.UTSNamespace)
	p.Spec.Domainname = f.Domainname
	switch {
	case f.Hostname != "" && !private:
		return fault.New("leave one of them away", "--hostname and --uts host exclude each other")
	case f.Domainname != "" && !private:
		return fault.New("leave one of them away", "--domainname and --uts host exclude each other")
	case private && h.Net.shared() != nil:
		p.Spec.Hostname = h.Net.shared().Hostname
	case private:
		p.Spec.Hostname = hostname(f, h.ID, h.Hostname)
	}
	p.Spec.Linux.Sysctl = map[string]string{}
	for _, s := range f.Sysctls {
		if err := s.Check(func(ns string) bool { return p.Private(namespaceOf(ns)) }); err != nil {
			return err
		}
		p.Spec.Linux.Sysctl[s.Key] = s.Value
	}
	return nil
}

// Namespaces lists the container's own namespaces: known before the rest of the
// plan, so that init can be started while that is made.
func Namespaces(f *Flags, network string, cgroup2 bool) ([]specs.LinuxNamespaceType, error) {
	own := []specs.LinuxNamespaceType{specs.UserNamespace, specs.MountNamespace}
	for _, n := range []struct {
		flag string
		mode option.Mode
		kind specs.LinuxNamespaceType
	}{
		{"--pid", f.Pid, specs.PIDNamespace},
		{"--ipc", f.IPC, specs.IPCNamespace},
		{"--uts", f.UTS, specs.UTSNamespace},
	} {
		switch n.mode.Name {
		case "", "private", "shareable", "none": // --ipc none: private, without /dev/shm
			own = append(own, n.kind)
		case "host":
		default:
			return nil, fault.New("private and host are possible now", "%s %s is not supported yet", n.flag, n.mode.Name)
		}
	}
	if OwnNetwork(network) {
		own = append(own, specs.NetworkNamespace)
	}
	if cgroup2 && f.Cgroup.Name != option.Host {
		own = append(own, specs.CgroupNamespace)
	}
	return own, nil
}

// OwnNetwork tells whether a rung of the network ladder gives the container a
// network namespace of its own.
func OwnNetwork(rung string) bool { return rung != "host" && rung != option.Container }

// CloneFlags is the clone(2) flags of init. The user namespace is the monitor's,
// the mount namespace is made by init itself.
func CloneFlags(own []specs.LinuxNamespaceType) uintptr {
	var flags uintptr
	for _, kind := range own {
		switch kind {
		case specs.PIDNamespace:
			flags |= syscall.CLONE_NEWPID
		case specs.IPCNamespace:
			flags |= syscall.CLONE_NEWIPC
		case specs.UTSNamespace:
			flags |= syscall.CLONE_NEWUTS
		case specs.NetworkNamespace:
			flags |= syscall.CLONE_NEWNET
		case specs.CgroupNamespace:
			flags |= 0x02000000 // CLONE_NEWCGROUP
		}
	}
	return flags
}

func namespaceOf(word string) specs.LinuxNamespaceType {
	switch word {
	case "net":
		return specs.NetworkNamespace
	case "uts":
		return specs.UTSNamespace
	}
	return specs.IPCNamespace
}

// Private tells whether the container has its own namespace of a kind.
func (p *Plan) Private(kind specs.LinuxNamespaceType) bool {
	for _, n := range p.Spec.Linux.Namespaces {
		if n.Type == kind {
			return true
		}
	}
	return false
}
