package run

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rl/run/inside/seccomp"
	"rl/run/monitor"
	"rl/run/plan"
	"rl/run/plan/option"
	"rl/run/rootfs"
	"rl/userns/sys"
)

// hand gives the monitor its config, init's program and the container's lock.
func (p *preparation) hand(facts *plan.Facts) error {
	prog := p.plan.Program(p.target(), func(source string) (resolved string, isFile bool) {
		if !strings.HasPrefix(source, "/proc/") { // of every process another
			resolved, _ = filepath.EvalSymlinks(source)
		}
		dir, err := facts.IsDir(source)
		return resolved, err == nil && !dir
	})
	if s := p.plan.Spec.Linux.Seccomp; s != nil {
		var err error
		if prog.Filter, prog.FilterFlags, err = seccomp.Compile(s); err != nil {
			return err
		}
	}
	if p.plan.FakeRoot {
		var err error
		if prog.FakeRoot, prog.FakePlain, prog.FakeFlags, err = seccomp.FakeRoot(); err != nil {
			return err
		}
	}
	if p.Flags.Terminal {
		if size, err := unix.IoctlGetWinsize(screenOf(p.Stdio), unix.TIOCGWINSZ); err == nil {
			prog.Rows, prog.Cols = uint32(size.Row), uint32(size.Col)
		}
	}
	config := p.config()
	if err := p.hook(config, prog); err != nil {
		return err
	}
	if p.streams != nil {
		var err error
		if config.Log, err = p.logging(); err != nil {
			return err
		}
	}
	cg := <-p.cgroup.done
	p.cgroup.done <- cg // whoever ends this needs it
	if cg.err != nil {
		return cg.err
	}
	config.Cgroup = cg.where
	conf, err := config.Encode()
	if err != nil {
		return err
	}
	a, err := sys.Memfd("rl-config", conf)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := sys.Memfd("rl-program", prog.Encode())
	if err != nil {
		return err
	}
	defer b.Close()
	if err := <-p.started; err != nil {
		p.child = nil
		return err
	}
	p.started <- nil // whoever ends this waits for it
	if err := p.donate(); err != nil {
		return err
	}
	err = p.child.Socket.Send([]byte{monitor.MsgConfig}, int(a.Fd()), int(b.Fd()), int(p.cont.Lock.Fd()))
	if err != nil {
		return fmt.Errorf("hand the container to its monitor: %w", err)
	}
	p.released = true
	p.conn.close()
	p.streams.close()
	close(p.handed)
	// The monitor has the lock now; this copy would keep it alive beyond it.
	err = p.cont.Close()
	if p.plan.Spec.Hooks == nil { // who reads of hooks has it already, and may have removed it
		err = errors.Join(err, p.writeSpec())
	}
	return err
}

// target is where the root file system is mounted. As everybody's mount
// namespace is its own, one directory serves all.
func (p *preparation) target() string { return p.State.Target() }

func (p *preparation) config() *monitor.Config {
	c := &monitor.Config{ID: p.rec.ID, Dir: p.cont.Dir, Driver: p.Driver, Remove: p.Flags.Remove, Plain: p.Rootfs,
		Network: p.net.Config, Program: p.outer(), Names: p.names(), Leases: p.conn.leaseFiles(), Control: p.conn.control,
		Journal: p.journal(), About: about(p.rec), Attached: !p.Background,
		Tree: rootfs.Tree{Lowers: p.lowers, Maps: p.maps, Target: p.target(), Volatile: p.Flags.Remove}}
	if p.Rootfs == "" {
		c.Tree.Upper, c.Tree.Work = filepath.Join(p.cont.Dir, "upper"), filepath.Join(p.cont.Dir, "work")
	}
	c.Restart, c.Health, c.StopTimeout = p.Flags.Restart, p.rec.Health, stopTimeout
	if t := p.Flags.StopTimeout; t != nil {
		c.StopTimeout = *t
	}
	if c.StopSignal = int(unix.SIGTERM); p.plan.StopSignal != "" {
		c.StopSignal, _ = option.ParseSignal(p.plan.StopSignal) // the plan did, too
	}
	if p.ID == "" {
		c.Born = p.rec.Created.UnixNano()
	}
	if k := p.streams; k != nil {
		c.Pipes, c.Viewer, c.Silent = len(k.output), len(k.viewer), p.Background
		if k.input != nil {
			c.Input = 1
		}
	}
	if p.Flags.Remove {
		c.Name, c.Own = p.State.Name(p.rec), p.rec.Anonymous()
	}
	p.conn.name(c.Network, p.rec.Name)
	c.Volumes = p.volumes()
	return c
}
