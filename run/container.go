package run

import (
	"context"
	"fmt"
	"os"
	"sync"
	"syscall"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"rl/oci"
	"rl/run/monitor"
	"rl/run/monitor/ahead"
	"rl/run/plan"
	"rl/run/plan/option"
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
func (e *Engine) Run(ctx context.Context, c *Container) (code int, err error) {
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
		e.notStarted(c.ID, false, err)
		return 0, err
	}
	p.streams = streams
	defer func() { // when its lock is free
		if err != nil && p.rec != nil && !p.ran {
			e.notStarted(p.rec.ID, p.first, err)
		}
	}()
	defer p.close()
	stop := p.forward(ctx)
	defer stop()
	if err = p.create(); err != nil {
		return 0, err
	}
	code, err = p.attend(ctx)
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
	first    bool            // it has never run
	ran      bool            // it does
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
	if p.ID != "" {
		if err := p.reopen(); err != nil {
			return nil, err
		}
	}
	err = p.startMonitor(other, monitor.Start{Born: p.cgroup.choice.Rung != probe.CgroupNone,
		Namespaces: plan.CloneFlags(own), NoStdin: c.Stdio[0] == nil, Keep: !c.Background && comesAgain(c), Reaper: c.Flags.Init, Tap: connected(p.network)})
	if err != nil && p.cont != nil {
		p.cont.Close()
	}
	return p, err
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
