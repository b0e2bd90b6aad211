package run

import (
	"encoding/json"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/userns/sys"
)

// writeSpec keeps the plan beside the container while that starts, with the files
// that it names: a bundle that other runtimes could run, and hooks read. A container that is
// removed at its end has no other use for it.
func (p *preparation) writeSpec() error {
	if p.Flags.Remove && p.plan.Spec.Hooks == nil {
		return nil
	}
	if !p.plan.OnDisk {
		if err := p.writeFiles(); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(documentOf(p.plan.Spec), "", "  ")
	if err != nil {
		return err
	}
	return sys.Replace(filepath.Join(p.cont.Dir, "config.json"), data, 0o600)
}

// document is a specs.Spec without the parts that a plan never has, of other systems:
// encoding/json makes an encoder for every type that it sees, whether there is anything of it or
// not, and those of Windows and virtual machines are most of the time that a spec takes.
type document struct {
	Version     string            `json:"ociVersion"`
	Process     *specs.Process    `json:"process,omitempty"`
	Root        *specs.Root       `json:"root,omitempty"`
	Hostname    string            `json:"hostname,omitempty"`
	Domainname  string            `json:"domainname,omitempty"`
	Mounts      []specs.Mount     `json:"mounts,omitempty"`
	Hooks       *specs.Hooks      `json:"hooks,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Linux       *specs.Linux      `json:"linux,omitempty"`
}

func documentOf(s *specs.Spec) *document {
	return &document{s.Version, s.Process, s.Root, s.Hostname, s.Domainname, s.Mounts, s.Hooks, s.Annotations, s.Linux}
}
