package plan

import (
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/plan/option"
)

// privileges decides capabilities, seccomp and no_new_privs.
func (p *Plan) privileges(_ *v1.ImageConfig, f *Flags, h *Facts) error {
	all, err := option.Effective(f.CapAdd, f.CapDrop, f.Privileged)
	if err != nil {
		return err
	}
	caps := all[:0:0]
	for _, c := range all {
		if n, ok := option.CapNumber(c); ok && n <= h.Caps {
			caps = append(caps, c)
		}
	}
	proc := p.Spec.Process
	// Init grants by the bounding set (see run/inside): a user other than root
	// gets none of them, root all, at execve.
	proc.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	proc.NoNewPrivileges = f.Security.NoNewPrivileges
	if f.Security.Seccomp == option.SeccompUnconfined || f.Privileged && f.Security.Seccomp == "" {
		return nil
	}
	p.Spec.Linux.Seccomp, err = h.Seccomp(f.Security.Seccomp, caps)
	return err
}

// limits writes the resource limits that the kernel keeps per process.
func (p *Plan) limits(_ *v1.ImageConfig, f *Flags, _ *Facts) error {
	for _, u := range f.Ulimits {
		p.Spec.Process.Rlimits = append(p.Spec.Process.Rlimits, specs.POSIXRlimit{Type: u.Type(), Soft: u.Soft, Hard: u.Hard})
	}
	return nil
}

// annotate keeps docker's labels and what only rl knows of the container.
func (p *Plan) annotate(image *v1.ImageConfig, f *Flags, _ *Facts) error {
	a := map[string]string{}
	for k, v := range image.Labels {
		a[k] = v
	}
	for _, l := range append(f.Labels[:len(f.Labels):len(f.Labels)], f.Annotations...) {
		a[l.Key] = l.Value
	}
	if len(a) > 0 {
		p.Spec.Annotations = a
	}
	return nil
}
