package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rl/oci"
	"rl/run/inside/seccomp"
	"rl/run/monitor"
	"rl/run/monitor/ahead"
	"rl/run/plan"
	"rl/run/plan/option"
	"rl/run/rootfs"
	"rl/run/state"
	"rl/userns"
	"rl/userns/idmap"
	"rl/userns/probe"
	"rl/userns/stage"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// Container is what is asked of Run.
type Container struct {
	Flags    plan.Flags
	Image    *oci.Image // nil with Rootfs
	Name     string     // the image as the user wrote it
	Rootfs   string     // a directory in place of an image
	CIDFile  string
	SigProxy bool
	Detach   []byte // key sequence that leaves the container running; needs a terminal

	ID         string          // start this container again, which has ended
	Idle       bool            // make it and leave, for Start
	Background bool            // leave as soon as the workload runs (-d)
	Loose      bool            // stay, but have it go on when this command is gone (start -a)
	Started    func(id string) // told then, with Background
	Stdio      [3]*os.File
}

// Run runs a container in the foreground and gives its exit status.
func (e *Engine) Run(ctx context.Context, c *Container) (int, error) {
	var between streams
	var streams *kept
	if err := c.passthrough(); err != nil {
		return 0, err
	}
	if c.captured() {
		var err error
		streams, err = between.capture(c)
		defer streams.close()
		if err != nil {
			return 0, err
		}
	} else if !c.Flags.Terminal {
		if err := between.interpose(&c.Stdio); err != nil {
			return 0, err
		}
	}
	p, err := e.prepare(ctx, c)
	between.release()
	if err != nil {
		return 0, err
	}
	p.streams = streams
	defer p.close()
	stop := p.forward(ctx)
	defer stop()
	if err := p.create(); err != nil {
		return 0, err
	}
	code, err := p.attend(ctx)
	between.drain()
	if err != nil {
		return 0, err
	}
	return code, nil
}

// preparation is a container on its way to being one.
type preparation struct {
	*Engine
	*Container
	id       *Identity
	image    *v1.ImageConfig
	child    *userns.Child // the monitor
	started  chan error    // its ids exist
	network  string        // the rung of the network ladder
	program  string        // and the program that it needs
	cgroup2  bool
	cgroup   placing
	newID    string // the container's
	rec      *state.Record
	cont     *state.Container
	plan     *plan.Plan
	net      *plan.Net
	conn     connection
	streams  *kept // those that pass through the monitor; nil: none
	lowers   []string
	maps     []idmap.Map // of lowers: see rootfs.Tree
	released bool
	wroteCID bool
	ctx      context.Context // of the command, until the container is handed over
	handed   chan struct{}   // closed when the monitor has the container
	ended    syscall.Signal  // the front was to end by this: not the workload's status
	hung     sync.Once
}

// prepare starts the monitor as soon as the ids are known: its start and
// newuidmap go on beside the planning.
func (e *Engine) prepare(ctx context.Context, c *Container) (*preparation, error) {
	p := &preparation{Engine: e, Container: c, image: &v1.ImageConfig{}, handed: make(chan struct{}), ctx: ctx}
	if c.Image != nil {
		if err := checkPlatform(c.Image); err != nil {
			return nil, err
		}
		p.image = &c.Image.Config.Config
	}
	if err := p.who(); err != nil {
		return nil, err
	}
	if comesAgain(c) {
		switch {
		case c.Flags.Remove && c.Flags.Restart.Any():
			return nil, fault.New("leave one of them away", "conflicting options: cannot specify both --restart and --rm")
		case c.Flags.Terminal && !c.Background && !c.Idle:
			return nil, fault.New("run it with -d, or leave -t away", "a container with a terminal and a restart policy, or --health-on-failure restart, cannot be run in the foreground: each run has a terminal of its own")
		}
	}
	network, err := probe.Network(e.Facts, c.Flags.Network.Name)
	if err != nil {
		return nil, err
	}
	if text := network.Notice(); text != "" {
		e.Notice(text)
	}
	p.network, p.program = string(network.Rung), network.Path
	var other *state.Record
	if network.Rung == probe.NetContainer {
		if other, err = p.share(); err != nil {
			return nil, err
		}
	}
	if c.Image != nil {
		if err := p.findLayers(); err != nil {
			return nil, err
		}
	}
	version, _ := e.Facts.CgroupVersion()
	p.cgroup2 = version == probe.CgroupUnified
	if err := p.chooseCgroup(); err != nil {
		return nil, err
	}
	if p.newID = p.ID; p.newID == "" {
		p.newID = state.NewID()
	}
	own, err := plan.Namespaces(&c.Flags, p.network, p.cgroup2)
	if err != nil {
		return nil, err
	}
	if c.Idle {
		return p, nil
	}
	return p, p.startMonitor(other, monitor.Start{Born: p.cgroup.choice.Rung != probe.CgroupNone,
		Namespaces: plan.CloneFlags(own), NoStdin: c.Stdio[0] == nil, Keep: !c.Background && comesAgain(c), Reaper: c.Flags.Init, Tap: connected(p.network)})
}

// startMonitor starts the monitor, unless one was started ahead, and in the
// background has its ids written. With other, it is that container's child.
func (p *preparation) startMonitor(other *state.Record, s monitor.Start) error {
	early := ahead.Take() // it has the caller's streams
	var streams []int
	if early != nil && (p.Flags.Pid.Name == "host" || other != nil) {
		early.End()
		early = nil
	}
	if other != nil {
		if err := p.startShared(other); err != nil {
			return err
		}
	} else if early != nil {
		p.child = p.id.adopt(early.Pid, early.Socket)
		null, others, err := p.otherStreams()
		if err != nil {
			p.child.Kill()
			return err
		}
		defer null.Close()
		streams = others
	} else {
		flags := uintptr(syscall.CLONE_NEWNS)
		if p.Flags.Pid.Name != "host" {
			flags |= syscall.CLONE_NEWPID
		}
		if err := sys.CloexecFrom(3); err != nil {
			return fmt.Errorf("keep the caller's open files from the container: %w", err)
		}
		var err error
		if p.child, err = p.id.start(userns.Config{Stage: monitor.Stage, Env: []string{stage.OneProcessor}, Namespaces: flags, Stdio: p.Stdio}); err != nil {
			return err
		}
	}
	p.started = make(chan error, 1)
	if err := p.child.Socket.Send(s.Message(), streams...); err != nil {
		p.child.Kill()
		return fmt.Errorf("start the container's first process: %w", err)
	}
	go func() { p.started <- p.child.Release() }()
	p.beginPlacing()
	return nil
}

// who decides the identity. On the single-id rung the user must be known before
// the namespace is made, also by name.
func (p *preparation) who() error {
	text := p.Flags.UserText
	if text == "" {
		text = p.image.User
	}
	user := option.User{}
	if text != "" {
		var err error
		if user, err = option.ParseUser(text); err != nil {
			return err
		}
	}
	base, err := p.Identity()
	if err != nil {
		return err
	}
	if base.Single && user.Name != "" && user.UID < 0 {
		if user.UID, user.GID, err = p.lookUp(user); err != nil {
			return err
		}
	}
	p.id, err = p.identityFor(p.Flags.Userns, user)
	return err
}

func checkPlatform(img *oci.Image) error {
	host := option.HostPlatform()
	if a := img.Config.Architecture; a != "" && a != host.Architecture {
		return fault.New("pull it for this machine: --platform "+host.String(),
			"the image is for %s/%s, this machine is %s", img.Config.OS, a, host)
	}
	return nil
}

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
	p.rec.Command = p.plan.Spec.Process.Args
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

// record is a new container's, or that of the one that is started again, whose
// lock it takes.
func (p *preparation) record() (err error) {
	if p.ID == "" {
		p.rec = &state.Record{ID: p.newID, Name: p.Flags.Name, Image: p.Name, Created: time.Now().UTC(),
			Map: p.id.Map, Helpers: p.id.Helpers, Remove: p.Flags.Remove, Driver: p.Driver}
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
	if p.rec, err = p.State.Read(p.ID); err != nil {
		return err
	}
	if p.cont, err = p.State.Reopen(p.rec); err != nil {
		if !p.State.Running(p.ID) {
			return fault.New("wait for `rl cp`, `rl export` or `rl diff` to end", "container %s cannot be started: it is being read or written", p.rec.Name)
		}
		return fault.New("", "container %s is running", p.rec.Name)
	}
	p.mourn(p.rec)
	if p.rec.Map.Name() != p.id.Map.Name() {
		return fault.New("make it anew", "container %s was made under other ids (%s) than there are now (%s)", p.rec.Name, p.rec.Map.Name(), p.id.Map.Name())
	}
	p.rec.Fresh, p.rec.Ports = false, nil
	return nil
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

// facts gathers what the plan must know.
func (p *preparation) facts() (*plan.Facts, error) {
	dir := p.State.Dir(p.rec)
	host, _ := os.Hostname()
	f := &plan.Facts{
		ID: p.rec.ID, Map: p.id.Map, SingleID: p.id.Single, Network: p.network, Cgroup2: p.cgroup2, Hostname: host,
		FilesDir: filepath.Join(dir, "files"), Volume: p.volumeOf, Caps: lastCap(),
		IsDir: isDir,
		Seccomp: func(path string, caps []string) (*specs.LinuxSeccomp, error) {
			if path == "" || path == "builtin" {
				return seccomp.Default(caps)
			}
			return seccomp.Load(path, caps)
		},
	}
	h := p.netFacts()
	h.Other = p.conn.other
	var err error
	if h.Joined, err = p.lease(); err != nil {
		return nil, err
	}
	if p.net, err = plan.Network(p.image, &p.Flags, h); err != nil {
		return nil, err
	}
	f.Net = p.net
	f.Resolv, _ = os.ReadFile(resolvConf)
	f.Hosts, _ = os.ReadFile("/etc/hosts")
	if p.Flags.Privileged {
		f.HostDevices = hostDevices()
	}
	return f, nil
}

// hand gives the monitor its config, init's program and the container's lock.
func (p *preparation) hand(facts *plan.Facts) error {
	prog := p.plan.Program(p.target(), func(source string) bool {
		dir, err := facts.IsDir(source)
		return err == nil && !dir
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
		if size, err := unix.IoctlGetWinsize(int(p.Stdio[0].Fd()), unix.TIOCGWINSZ); err == nil {
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

// close undoes what was begun when the monitor was never told to go on.
func (p *preparation) close() {
	if p.released {
		return
	}
	p.conn.close()
	if p.child != nil {
		<-p.started
		unix.Shutdown(p.child.Socket.Fd(), unix.SHUT_RDWR) // placing may wait for it
	}
	place := p.placed()
	if p.child != nil {
		p.child.Kill()
	}
	place.Remove()
	if p.cont != nil && p.ID != "" { // it was there before
		p.cont.Close()
	} else if p.cont != nil {
		p.dropVolumes(p.rec)
		p.discard(p.rec)
		p.cont.Close()
		if p.wroteCID {
			os.Remove(p.CIDFile)
		}
	}
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

func isDir(path string) (bool, error) {
	st, err := os.Stat(path)
	if err != nil {
		return false, errors.Unwrap(err)
	}
	return st.IsDir(), nil
}

func lastCap() int {
	data, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err == nil {
		if n, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil {
			return n
		}
	}
	return unix.CAP_LAST_CAP
}

// hostDevices lists the devices of the host that the caller may open at all.
func hostDevices() []string {
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return nil
	}
	var all []string
	for _, e := range entries {
		path := "/dev/" + e.Name()
		if e.Type()&os.ModeDevice != 0 && !ours(e.Name()) && unix.Access(path, unix.R_OK) == nil {
			all = append(all, path)
		}
	}
	return all
}

// ours are the devices that every container has, and those it must not have twice.
func ours(name string) bool {
	switch name {
	case "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx":
		return true
	}
	return strings.HasPrefix(name, "tty") || strings.HasPrefix(name, "vcs")
}
