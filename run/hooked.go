package run

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/hooks"
	"rl/run/inside/program"
	"rl/run/monitor"
	"rl/run/plan"
)

// chooseHooks puts the hooks that the container has into its plan. They are read anew at
// each start.
func (p *preparation) chooseHooks() error {
	if len(p.Flags.HooksDirs) == 0 {
		return nil
	}
	list, err := hooks.Read(p.Flags.HooksDirs)
	if err != nil {
		return err
	}
	p.plan.Spec.Hooks = hooks.Select(list, p.plan.Spec, len(p.plan.Mounts) > 0)
	return nil
}

// hook hands the hooks to those who run them: the monitor, and init. The bundle that they read of
// is the container's directory.
func (p *preparation) hook(config *monitor.Config, prog *program.Program) error {
	h := p.plan.Spec.Hooks
	if h == nil {
		return nil
	}
	p.plan.Spec.Root.Path = p.target()
	if err := p.writeSpec(); err != nil {
		return err
	}
	state, err := json.Marshal(struct {
		Version     string            `json:"ociVersion"`
		ID          string            `json:"id"`
		Bundle      string            `json:"bundle"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}{specs.Version, p.rec.ID, p.cont.Dir, p.plan.Spec.Annotations})
	if err != nil {
		return err
	}
	prog.HookState = string(state[:len(state)-1]) + ","
	//lint:ignore SA1019 there are such hooks
	config.Hooks = monitor.Hooks{State: prog.HookState, Prestart: plan.Hooks(h.Prestart),
		CreateRuntime: plan.Hooks(h.CreateRuntime), Poststart: plan.Hooks(h.Poststart), Poststop: plan.Hooks(h.Poststop)}
	return nil
}
