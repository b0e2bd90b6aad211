package run

import (
	"errors"
	"os"
	"slices"
	"strings"

	"rl/run/events"
	"rl/run/monitor"
	"rl/run/plan"
	"rl/run/plan/option"
	"rl/run/state"
	"rl/run/volume"
	"rl/userns/sys/fault"
)

// Volumes are the store's.
func (e *Engine) Volumes() volume.Store { return volume.Store(e.State) }

// CreateVolume makes a volume, unless there is one of this name.
func (e *Engine) CreateVolume(name string, labels map[string]string) (*volume.Volume, error) {
	v, made, err := e.Volumes().Create(name, labels)
	if made {
		e.tell(events.OfVolume("create", v.Name))
	}
	return v, err
}

// tellTaken tells that volumes are gone.
func (e *Engine) tellTaken(t volume.Taken) {
	for _, name := range t.Names {
		e.tell(events.OfVolume("destroy", name))
	}
}

// inherit resolves --volumes-from: what those containers have now, this one has from now on,
// whatever becomes of them.
func (p *preparation) inherit() error {
	for _, from := range p.Flags.VolumesFrom {
		rec, err := p.State.Find(from.Container)
		if err != nil {
			return err
		}
		for _, m := range rec.Mounts {
			o := option.Mount{Type: option.MountType(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly || from.ReadOnly,
				Propagation: m.Propagation, Subpath: m.Subpath, Anonymous: m.Anonymous, NoCopy: true, Recursive: m.Type == string(option.Bind)}
			if m.Type == string(option.Volume) {
				o.Source = m.Name
			}
			p.Flags.Inherited = slices.DeleteFunc(p.Flags.Inherited, func(x option.Mount) bool { return x.Target == o.Target })
			p.Flags.Inherited = append(p.Flags.Inherited, o)
		}
	}
	return nil
}

// volumeOf gives a volume's content and name; an anonymous one's is what it was before, or new.
func (p *preparation) volumeOf(name, target string) (string, string) {
	if name == "" {
		name = volume.NewName()
		for _, m := range p.rec.Mounts {
			if m.Anonymous && m.Target == target {
				name = m.Name
			}
		}
	}
	return name, p.Volumes().Data(name)
}

// recordMounts notes what the container has mounted.
func (p *preparation) recordMounts() {
	p.rec.Mounts = nil
	for _, m := range p.plan.Mounts {
		r := state.Mount{Type: string(m.Type), Source: m.Source, Target: m.Target, Options: m.Options, ReadOnly: m.ReadOnly,
			Propagation: m.Propagation, Subpath: m.Subpath}
		switch {
		case m.Type == option.Volume:
			r.Name, r.Source, r.Anonymous = m.Source, m.Dir, m.Anonymous
		case r.Propagation == "":
			r.Propagation = "rprivate"
		}
		p.rec.Mounts = append(p.rec.Mounts, r)
	}
}

// holdVolumes keeps the volumes that others know from being removed until the container's
// record says that it uses them. It makes named ones.
func (p *preparation) holdVolumes() (release func(), err error) {
	var wants []volume.Want
	for _, m := range p.plan.Mounts {
		if m.Type != option.Volume || p.own(m) {
			continue
		}
		w := volume.Want{Name: m.Source, Labels: labelMap(m.Labels), Made: func() { p.tell(events.OfVolume("create", m.Source)) }}
		if m.Anonymous {
			w.Absent = fault.New("leave --volumes-from away", "the volume %s, which was another container's, is gone", m.Source)
		}
		wants = append(wants, w)
	}
	if len(wants) == 0 {
		return func() {}, nil
	}
	return p.Volumes().Hold(wants)
}

// own tells whether a volume is an anonymous one of this container's own.
func (p *preparation) own(m plan.Mount) bool {
	return m.Anonymous && !slices.ContainsFunc(p.Flags.Inherited, func(x option.Mount) bool { return x.Source == m.Source })
}

// makeVolumes makes the container's own volumes. Its record is written already: however this
// ends, who removes the container knows of them.
func (p *preparation) makeVolumes() error {
	for _, m := range p.plan.Mounts {
		if m.Type != option.Volume || !p.own(m) {
			continue
		}
		labels := labelMap(m.Labels)
		labels[volume.Anonymous] = ""
		if _, err := p.CreateVolume(m.Source, labels); err != nil {
			return err
		}
	}
	return nil
}

func labelMap(list []option.Label) map[string]string {
	m := map[string]string{}
	for _, l := range list {
		m[l.Key] = l.Value
	}
	return m
}

// volumes is what the monitor is to do with them.
func (p *preparation) volumes() (list []monitor.Volume) {
	for _, m := range p.plan.Mounts {
		if m.Type == option.Volume {
			list = append(list, monitor.Volume{Dir: p.Volumes().Dir(m.Source), Target: m.Target,
				ReadOnly: m.ReadOnly, Propagation: m.Propagation, Fill: !m.NoCopy && m.Subpath == "" && p.Rootfs == ""})
		}
	}
	return list
}

// RemovedVolumes is what became of volumes that were to be removed.
type RemovedVolumes struct {
	Names []string
	Bytes int64 // as far as it could be looked at
}

// RemoveVolume removes a volume that no container uses.
func (e *Engine) RemoveVolume(name string) error {
	if _, err := e.Volumes().Get(name); err != nil {
		return err
	}
	r, err := e.takeVolumes([]string{name})
	if users := r.Busy[name]; len(users) > 0 {
		return fault.New("`rl rm` removes a container, `rl ps -a --filter volume="+name+"` lists those that use it",
			"remove %s: volume is in use - [%s]", name, strings.Join(users, ", "))
	}
	return err
}

// PruneVolumes removes the volumes that no container uses and that are wanted removed.
func (e *Engine) PruneVolumes(want func(*volume.Volume) bool) (RemovedVolumes, error) {
	list, err := e.Volumes().List()
	if err != nil {
		return RemovedVolumes{}, err
	}
	var names []string
	for _, v := range list {
		if want(v) {
			names = append(names, v.Name)
		}
	}
	var all RemovedVolumes
	var errs []error
	const most = 200 // locks at a time: each is a descriptor
	for some := range slices.Chunk(names, most) {
		sizes := e.VolumeSizes(some)
		r, err := e.takeVolumes(some)
		for _, name := range r.Names {
			all.Names = append(all.Names, name)
			all.Bytes += sizes[name]
		}
		errs = append(errs, err)
	}
	return all, errors.Join(errs...)
}

// takeVolumes takes those that nobody uses, and deletes them.
func (e *Engine) takeVolumes(names []string) (volume.Taken, error) {
	t, err := e.Volumes().Take(names, func(names []string) (map[string][]string, error) { return e.State.VolumeUsers(names, "") }, nil)
	e.tellTaken(t)
	errs := []error{err}
	for _, path := range t.Paths {
		errs = append(errs, e.RemoveTree(path))
	}
	return t, errors.Join(errs...)
}

// dropVolumes removes the anonymous volumes of a container whose lock the caller holds.
func (e *Engine) dropVolumes(rec *state.Record) error {
	own := rec.Anonymous()
	if len(own) == 0 {
		return nil
	}
	t, err := e.State.TakeVolumes(rec.ID, own)
	e.tellTaken(t)
	errs := []error{err}
	for _, path := range t.Paths {
		if err := os.RemoveAll(path); err != nil {
			errs = append(errs, e.recorded(rec, path))
		}
	}
	return errors.Join(errs...)
}

// recorded deletes a tree under the ids of a container.
func (e *Engine) recorded(rec *state.Record, path string) error {
	id := &Identity{Map: rec.Map, Helpers: rec.Helpers}
	if len(rec.Map.UIDs) == 0 {
		var err error
		if id, err = e.Identity(); err != nil {
			return err
		}
	}
	return id.remove(path)
}
