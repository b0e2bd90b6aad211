package monitor

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rl/run/inside/hook"
	"rl/run/inside/program"
	"rl/userns/sys"
)

// Hooks are the OCI hooks that are run here, where the root file system is mounted, as the root of
// the container's user namespace. Those of createContainer and startContainer are init's.
type Hooks struct {
	State                                        string         `json:",omitempty"` // see package hook
	Prestart, CreateRuntime, Poststart, Poststop []program.Hook `json:",omitempty"`
}

// creationHooks are run when the root file system and the network are there, before init goes on.
// The first that fails ends the start.
func (m *monitor) creationHooks() error {
	h := &m.conf.Hooks
	if h.State == "" {
		return nil
	}
	m.hooked = true
	pid, err := m.visiblePid()
	if err != nil {
		return fmt.Errorf("hooks: %w", err)
	}
	for stage, list := range [][]program.Hook{h.Prestart, h.CreateRuntime} {
		for i := range list {
			if why := hook.Run(&list[i], hook.State(h.State, "creating", pid), m.interrupted); why != "" {
				return fmt.Errorf("%s hook %s: %s", []string{"prestart", "createRuntime"}[stage], list[i].Path, why)
			}
		}
	}
	return nil
}

// poststart are run when the workload runs. One that fails is only told of (runtime-spec).
func (m *monitor) poststart() {
	if len(m.conf.Hooks.Poststart) > 0 {
		pid, _ := m.visiblePid()
		m.told("poststart", m.conf.Hooks.Poststart, hook.State(m.conf.Hooks.State, "running", pid))
	}
}

// poststop are run when everything of the container is gone, also of one that never ran.
func (m *monitor) poststop() {
	if m.hooked {
		m.hooked = false
		m.told("poststop", m.conf.Hooks.Poststop, hook.State(m.conf.Hooks.State, "stopped", 0))
	}
}

func (m *monitor) told(stage string, list []program.Hook, state []byte) {
	for i := range list {
		if why := hook.Run(&list[i], state, nil); why != "" {
			m.notice(stage + " hook " + list[i].Path + ": " + why)
		}
	}
}

// interrupted tells whether somebody wants the container to end before it has begun.
func (m *monitor) interrupted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.again.stopping
}

// visiblePid is init's number in the procfs that is mounted here, where hooks look for it.
func (m *monitor) visiblePid() (int, error) {
	fd, err := unix.PidfdOpen(m.init.pid, 0)
	if err != nil {
		return 0, err
	}
	f := os.NewFile(uintptr(fd), "init")
	defer f.Close()
	return sys.PidOf(f)
}
