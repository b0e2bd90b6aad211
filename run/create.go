package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"rl/run/plan"
	"rl/run/plan/option"
	"rl/run/state"
	"rl/userns/sys/fault"
)

// create makes the plan and the container's directory, and hands both to the
// monitor.
func (p *preparation) create() error {
	if err := p.record(); err != nil {
		return err
	}
	facts, err := p.facts()
	if err != nil {
		return err
	}
	if p.plan, err = plan.New(p.image, &p.Flags, facts); err != nil {
		return err
	}
	if err := p.chooseHooks(); err != nil {
		return err
	}
	if !p.Idle {
		if err := p.bind(p.net); err != nil {
			return err
		}
	}
	if err := p.listenAt(); err != nil {
		return err
	}
	for _, n := range p.plan.Notices {
		p.Notice(n)
	}
	p.rec.Layers = p.lowers
	p.rec.Network, p.rec.Control = p.network, p.conn.control
	p.rec.Endpoints = endpoints(p.net, p.network)
	p.rec.Exposed = p.exposed()
	p.rec.Command, p.rec.Entry = p.plan.Spec.Process.Args, len(plan.Entrypoint(p.image, &p.Flags))
	p.rec.Env = plan.Environment(p.image, &p.Flags)
	p.rec.Terminal, p.rec.Interactive = p.Flags.Terminal, p.Flags.Interactive
	p.rec.StopSignal, p.rec.StopTimeout = p.plan.StopSignal, p.Flags.StopTimeout
	p.rec.Labels = p.labels()
	if p.Flags.Restart.Any() {
		p.rec.Restart = &p.Flags.Restart
	}
	if err := p.checkHealth(); err != nil {
		return err
	}
	p.recordMounts()
	release, err := p.holdVolumes()
	if err != nil {
		return explainCreate(err)
	}
	p.rec.LogDriver = p.Flags.Log.Driver
	dirs := []string{"upper", "work"}
	if p.Rootfs != "" {
		dirs = nil
	}
	if p.cont == nil {
		p.cont, err = p.State.Create(p.rec, dirs...)
	} else {
		// Only now, when all that could be in the way was had: a start that is refused loses nothing.
		if err = p.State.Rewrite(p.rec); err == nil {
			os.Remove(filepath.Join(p.cont.Dir, state.ExitFile))
			os.Remove(filepath.Join(p.cont.Dir, state.ErrorFile))
			os.Remove(filepath.Join(p.cont.Dir, state.RestartsFile))
			os.Remove(filepath.Join(p.cont.Dir, state.CgroupFile))
			if p.rec.Health != nil {
				os.Remove(filepath.Join(p.cont.Dir, state.HealthFile))
			}
		}
	}
	release()
	if err != nil {
		return explainCreate(err)
	}
	if err := p.write(); err != nil {
		return explainCreate(err)
	}
	if p.Idle {
		p.released = true
		p.conn.close()
		return errors.Join(p.cont.Close(), p.writeSpec())
	}
	return p.hand(facts)
}

// record is a new container's, or that of the one that is started again, which reopen has
// read.
func (p *preparation) record() (err error) {
	if p.ID == "" {
		p.first = true
		p.rec = &state.Record{ID: p.newID, Name: p.Flags.Name, Image: p.Name, Created: time.Now().UTC(),
			Map: p.id.Map, Helpers: p.id.Helpers, Remove: p.Flags.Remove, Driver: p.Driver, Detached: p.Background}
		if p.Image != nil {
			p.rec.ImageID = p.Image.ID.String()
		}
		p.rec.Fresh = p.Idle
		if p.Flags.Limits != (option.Limits{}) {
			p.rec.Limits = &p.Flags.Limits
		}
		if err := p.inherit(); err != nil {
			return err
		}
		if !p.Flags.Remove || p.Idle {
			p.rec.Request, err = json.Marshal(saved{p.Flags, p.Rootfs})
		}
		return err
	}
	p.mourn(p.rec)
	if p.rec.Map.Name() != p.id.Map.Name() {
		return fault.New("make it anew", "container %s was made under other ids (%s) than there are now (%s)", p.rec.Name, p.rec.Map.Name(), p.id.Map.Name())
	}
	p.first = p.rec.Fresh
	p.rec.Fresh, p.rec.Ports = false, nil
	return nil
}

// reopen reads the record of a container that is started again, and takes its lock: before
// anything is made that has its name. Of two who start it together one must not touch the other's cgroup.
func (p *preparation) reopen() (err error) {
	if p.rec, err = p.State.Read(p.ID); err != nil {
		return err
	}
	if p.cont, err = p.State.Reopen(p.rec); err == nil {
		return nil
	}
	if !p.State.Running(p.ID) {
		return fault.New("wait for `rl cp`, `rl export` or `rl diff` to end", "container %s cannot be started: it is being read or written", p.rec.Name)
	}
	return fault.New("", "container %s %w", p.rec.Name, errRuns)
}

// labels are the image's, with the user's over them.
func (p *preparation) labels() map[string]string {
	all := map[string]string{}
	for k, v := range p.image.Labels {
		all[k] = v
	}
	for _, l := range p.Flags.Labels {
		all[l.Key] = l.Value
	}
	return all
}

// write writes what the container's directory holds besides its record.
func (p *preparation) write() error {
	if err := p.makeVolumes(); err != nil {
		return err
	}
	if p.plan.OnDisk {
		if err := p.writeFiles(); err != nil {
			return err
		}
	}
	if p.CIDFile != "" {
		f, err := os.OpenFile(p.CIDFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return fault.New("remove the file or name another", "write the container's id to --cidfile: %w", err)
		}
		p.wroteCID = true
		_, err = f.WriteString(p.rec.ID)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (p *preparation) writeFiles() error {
	if err := os.MkdirAll(filepath.Join(p.cont.Dir, "files"), 0o755); err != nil {
		return err
	}
	for _, f := range p.plan.Files {
		if err := os.WriteFile(filepath.Join(p.cont.Dir, "files", f.Name), []byte(f.Data), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func explainCreate(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &fault.Error{Err: fmt.Errorf("create the container: %w", err), Hint: "free some space, or set RL_ROOT to a directory that has some"}
	case errors.Is(err, syscall.EROFS), errors.Is(err, syscall.EACCES):
		return &fault.Error{Err: fmt.Errorf("create the container: %w", err), Hint: "set RL_ROOT to a directory that can be written"}
	}
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return fmt.Errorf("create the container: %w", err)
}
