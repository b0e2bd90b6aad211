package plan

import (
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

// namespaces decides which are the container's own. User and mount namespace
// always are.
func (p *Plan) namespaces(_ *v1.ImageConfig, f *Flags, h *Facts) error {
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
		case "", "private", "shareable":
			own = append(own, n.kind)
		case "host":
		case "none": // --ipc none: private, without /dev/shm
			own = append(own, n.kind)
		default:
			return fault.New("private and host are possible now", "%s %s is not supported yet", n.flag, n.mode.Name)
		}
	}
	if h.Network != "host" {
		own = append(own, specs.NetworkNamespace)
	}
	if h.Cgroup2 {
		own = append(own, specs.CgroupNamespace)
	}
	for _, kind := range own {
		p.Spec.Linux.Namespaces = append(p.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
	}
	private := p.Private(specs.UTSNamespace)
	switch {
	case f.Hostname != "" && !private:
		return fault.New("leave one of them away", "--hostname and --uts host exclude each other")
	case f.Hostname != "":
		p.Spec.Hostname = f.Hostname
	case private:
		p.Spec.Hostname = h.ID[:12]
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
