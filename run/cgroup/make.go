package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/cgroup/bus"
	"rl/userns/sys/fault"
)

// Want is the cgroup that a container is to have.
type Want struct {
	ID       string // the container's
	Name     string // the user's word for it
	Parent   string // --cgroup-parent
	Settings []Setting
	Remedy   string // what an administrator can do when a controller is missing
	Monitor  int    // processes, as the caller sees them
	Init     int
}

const (
	callers   = "rl-callers"
	prefix    = "rl-"
	suffix    = ".scope"
	monitor   = "monitor"
	container = "container"
)

// Leaf makes the container's cgroup below one that is the caller's, and moves init there.
func Leaf(own string, w Want) (Group, error) {
	parent, err := w.below(own)
	if err != nil {
		return Group{}, err
	}
	if need := controllers(w.Settings); len(need) > 0 {
		if err := give(parent, need); err != nil {
			return Group{}, err
		}
	}
	g := Group{filepath.Join(parent, prefix+w.ID)}
	for try := 0; ; try++ {
		if err = g.begin(w); err == nil {
			return g, nil
		}
		// A sweeper of another store may have taken the empty cgroup for litter.
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) || try == 3 {
			g.Remove()
			return Group{}, err
		}
	}
}

func (g Group) begin(w Want) error {
	err := os.Mkdir(g.Dir, 0o755)
	if errors.Is(err, fs.ErrExist) { // of an earlier life, whose monitor was killed
		if err := g.Remove(); err != nil {
			return err
		}
		err = os.Mkdir(g.Dir, 0o755)
	}
	if err != nil {
		return fmt.Errorf("make the container's cgroup: %w", err)
	}
	if err := g.Apply(w.Settings, w.Remedy); err != nil {
		if _, gone := os.Stat(g.Dir); gone != nil {
			return gone
		}
		return err
	}
	return g.Add(w.Init)
}

// Renew has another first process in the cgroup, which the one before left empty: a
// sweeper of another store may have taken it for litter, and then it is made again.
func (g Group) Renew(list []Setting, remedy string, init int) (err error) {
	if g.Frozen() { // somebody paused it at the last moment of the run before
		if err := g.Thaw(); err != nil {
			return err
		}
	}
	for range 4 {
		err = g.Add(init)
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
			return err
		}
		if err := os.Mkdir(g.Dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the container's cgroup: %w", err)
		}
		if err := g.Apply(list, remedy); err != nil {
			if _, gone := os.Stat(g.Dir); gone == nil {
				return err
			}
		}
	}
	return err
}

// below is where the container's cgroup is made: the caller's own, the one that the
// callers were moved out of, or --cgroup-parent.
func (w Want) below(own string) (string, error) {
	if filepath.Base(own) == callers {
		own = filepath.Dir(own)
	}
	if w.Parent == "" {
		return own, nil
	}
	const hint = "name a directory below the cgroup that is yours, without .."
	for part := range strings.SplitSeq(w.Parent, "/") {
		if part == ".." || strings.HasSuffix(part, ".slice") {
			return "", fault.New(hint, "--cgroup-parent %s: not a path below %s", w.Parent, own)
		}
	}
	dir := own
	for part := range strings.SplitSeq(strings.Trim(w.Parent, "/"), "/") {
		if need := controllers(w.Settings); len(need) > 0 {
			if err := give(dir, need); err != nil {
				return "", err
			}
		}
		dir = filepath.Join(dir, part)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("--cgroup-parent %s: %w", w.Parent, err)
		}
	}
	return dir, nil
}

// give has a cgroup give controllers to its children. The kernel refuses that to one
// with processes (EBUSY): those are moved to a leaf. For cpuset it also wants the right to
// schedule each process below (cpuset_can_attach), which nobody has of a setuid program, as
// newuidmap is, here or in another rl (EPERM): that is soon done.
func give(dir string, want []string) error {
	for range 400 { // new ones may be born while others are moved
		err := enable(dir, want)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EBUSY):
			if err := empty(dir); err != nil {
				return err
			}
		case errors.Is(err, unix.EPERM):
			time.Sleep(5 * time.Millisecond)
		default:
			return fmt.Errorf("have the cgroup %s give %s to containers: %w", dir, strings.Join(want, ", "), errno(err))
		}
	}
	return fault.New("start rl in a cgroup of its own", "the cgroup %s always has processes in the way: it cannot be divided", dir)
}

// empty moves the processes of a cgroup to a leaf of it.
func empty(dir string) error {
	leaf := filepath.Join(dir, callers)
	if err := os.Mkdir(leaf, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	for pid := range strings.FieldsSeq(read(dir, "cgroup.procs")) {
		err := write(leaf, "cgroup.procs", pid)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fault.New("start rl in a cgroup of its own", "process %s is in the cgroup %s and cannot be moved out of the way: %w", pid, dir, errno(err))
		}
	}
	return nil
}

const (
	manager     = "org.freedesktop.systemd1"
	managerPath = "/org/freedesktop/systemd1"
	managerType = "org.freedesktop.systemd1.Manager"
	unitExists  = "org.freedesktop.systemd1.UnitExists"
)

// Manager is a connection to a service manager that can make scopes.
type Manager struct{ c *bus.Conn }

// Connect reaches the manager behind the bus at a socket. It goes on beside other work:
// what follows needs processes that do not exist yet.
func Connect(ctx context.Context, socket string) (*Manager, error) {
	c, err := bus.Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	if err := c.Subscribe("type='signal',interface='" + managerType + "',member='JobRemoved',path='" + managerPath + "'"); err != nil {
		c.Close()
		return nil, err
	}
	return &Manager{c}, nil
}

// Close leaves the bus.
func (m *Manager) Close() error { return m.c.Close() }

// Scope has the manager make a scope with the monitor and init in it, and divides it.
// mount is where cgroup v2 is.
func (m *Manager) Scope(mount string, w Want) (Group, error) {
	slice := "user.slice"
	if w.Parent != "" {
		if slice = w.Parent; !strings.HasSuffix(slice, ".slice") || strings.Contains(slice, "/") {
			return Group{}, fault.New("as in --cgroup-parent batch.slice", "--cgroup-parent %s: under systemd it is the name of a slice", w.Parent)
		}
	}
	unit, err := m.start(slice, w)
	if err != nil {
		return Group{}, err
	}
	scope, err := Of(mount, w.Monitor)
	if err == nil && filepath.Base(scope) != unit {
		err = fmt.Errorf("the service manager left the container in %s", scope)
	}
	if err != nil {
		return Group{}, err
	}
	return divide(scope, w)
}

func (m *Manager) start(slice string, w Want) (unit string, err error) {
	list := []bus.Property{{Name: "Description", Value: "container " + w.Name + " of rl"}, {Name: "Slice", Value: slice}, {Name: "Delegate", Value: true},
		{Name: "CollectMode", Value: "inactive-or-failed"}, {Name: "PIDs", Value: []uint32{uint32(w.Monitor), uint32(w.Init)}}}
	for _, s := range w.Settings {
		if s.Flag == "--pids-limit" {
			list = append(list, bus.Property{Name: "TasksMax", Value: ^uint64(0)}) // the manager's default could be less
		}
	}
	// The scope of the last life may still be about to go.
	for try := range 8 {
		if unit = prefix + w.ID + suffix; try > 0 {
			unit = prefix + w.ID + "-" + strconv.Itoa(try) + suffix
		}
		answer, err := m.c.Call(manager, managerPath, managerType, "StartTransientUnit",
			new(bus.Body).String(unit).String("fail").Properties(list).NoUnits())
		var refused *bus.Error
		if errors.As(err, &refused) && refused.Name == unitExists {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("ask the service manager for a scope: %w", err)
		}
		job := answer.Strings()
		if len(job) != 1 {
			return "", errors.New("ask the service manager for a scope: it named no job")
		}
		var result string
		err = m.c.Signal("JobRemoved", func(args []string) bool { // job, unit, result
			if len(args) == 3 && args[0] == job[0] {
				result = args[2]
			}
			return result != ""
		})
		if err == nil && result != "done" {
			err = fmt.Errorf("ask the service manager for a scope: its job ended as %q", result)
		}
		return unit, err
	}
	return "", errors.New("ask the service manager for a scope: there are too many of this container")
}

// divide makes the two halves of a scope. A cgroup that gives controllers may have no
// processes, so both go first.
func divide(scope string, w Want) (Group, error) {
	ours, g := Group{filepath.Join(scope, monitor)}, Group{filepath.Join(scope, container)}
	for _, dir := range []string{ours.Dir, g.Dir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return Group{}, fmt.Errorf("divide the container's scope: %w", err)
		}
	}
	if err := ours.Add(w.Monitor); err != nil {
		return Group{}, err
	}
	if err := g.Add(w.Init); err != nil {
		return Group{}, err
	}
	if enable(scope, strings.Fields(read(scope, "cgroup.controllers"))) != nil {
		enableAny(scope)
	}
	return g, g.Apply(w.Settings, w.Remedy)
}

// Of is a process's cgroup.
func Of(mount string, pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return filepath.Join(mount, path), nil
		}
	}
	return "", errors.New("this kernel has no cgroup v2")
}

// Sweep removes empty cgroups that killed monitors left below one that is the caller's.
// alive tells of a container's id whether it runs.
func Sweep(own string, alive func(id string) bool) error {
	if filepath.Base(own) == callers {
		own = filepath.Dir(own)
	}
	entries, err := os.ReadDir(own)
	if err != nil {
		return nil // it is not ours any more
	}
	for _, e := range entries {
		id, ours := strings.CutPrefix(e.Name(), prefix)
		if g := (Group{filepath.Join(own, e.Name())}); ours && len(id) == 64 && !alive(id) && !g.populated() {
			prune(g.Dir)
		}
	}
	return nil
}
