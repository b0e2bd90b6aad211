package monitor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/cgroup"
	"rl/run/inside/program"
	"rl/run/rootfs"
	"rl/run/state"
	"rl/userns"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// Main is the stage's main function.
func Main() int {
	runtime.LockOSThread() // PDEATHSIG of init is this thread's
	front, err := userns.Parent()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rl:", err)
		return 125
	}
	m := &monitor{front: front, gone: make(chan struct{})}
	m.again.ended = make(chan struct{})
	err = m.run()
	if err != nil && !errors.Is(err, io.EOF) {
		m.report(err)
	}
	return 0
}

type monitor struct {
	front   *sys.Socket
	conf    *Config
	program *os.File
	lock    *os.File // held for life: a free lock says that the container is dead
	init    process
	group   cgroup.Group // of the workload
	killed  int          // processes there, for want of memory, when the last run ended
	undo    []func() error
	net     network
	control *sys.Listener

	namespaces uintptr       // those of the container that are not this process's
	gone       chan struct{} // closed when the container has ended
	began      time.Time     // when the workload was started
	out        output
	code       atomic.Int32   // its exit status then
	answers    sync.WaitGroup // of those who wait for that

	limits   sync.Mutex // one at a time changes the cgroup, or the record; taken before mu
	mu       sync.Mutex
	detached bool
	running  bool  // init has become the workload
	ended    bool  // and was waited for
	pending  []int // signals that came before
	master   *os.File
	again    restarts
	health   vigil
	hooked   bool     // hooks of the creation were run, and none yet of the end
	failed   struct { // why init did not become the workload
		code int
		text string
	}
}

// run is a container's life.
func (m *monitor) run() (err error) {
	start, err := m.ordered()
	if err != nil {
		return err
	}
	m.namespaces = start.Namespaces | unix.CLONE_NEWNS
	if err := m.startInit(start); err != nil {
		return err
	}
	// Init waits for G; until then its end is nobody's loss.
	err = userns.Await(m.front)
	if err == nil {
		err = m.receive()
	}
	if err != nil {
		m.init.kill()
		return err
	}
	defer func() {
		for i := len(m.undo) - 1; i >= 0; i-- {
			err = errors.Join(err, m.undo[i]())
		}
		if m.conf.Remove {
			err = errors.Join(err, m.remove())
		}
		m.poststop()
	}()
	m.again.Restart = m.conf.Restart
	if err := m.openOutput(); err != nil {
		m.init.kill()
		return err
	}
	m.takeCgroup()
	connected := make(chan error, 1)
	go func() { connected <- m.startNetwork() }()
	err = m.mount()
	err = errors.Join(err, <-connected)
	m.undo = append(m.undo, m.stopNetwork, m.unlisten)
	if err != nil {
		m.init.kill()
		return err
	}
	if err := m.listen(); err != nil {
		m.init.kill()
		return err
	}
	return m.attend()
}

// ordered waits for the order to start init, and takes the workload's streams when they came
// with it. The front may close the socket
// instead, here and in receive: it found that there is nothing to run.
func (m *monitor) ordered() (s Start, err error) {
	msg, streams, err := m.front.Recv()
	if err != nil {
		return s, err
	}
	if msg[0] != MsgInit || (len(streams) != 0 && len(streams) != 3) {
		return s, fmt.Errorf("unexpected message %q from the front", msg)
	}
	for fd, f := range streams {
		err = errors.Join(err, unix.Dup3(int(f.Fd()), fd, 0), f.Close())
	}
	if err != nil {
		return s, fmt.Errorf("take the workload's streams: %w", err)
	}
	return s, s.read(msg)
}

// receive waits for the config.
func (m *monitor) receive() error {
	msg, files, err := m.front.Recv()
	for err == nil && msg[0] == MsgFiles {
		m.net.files = append(m.net.files, files...)
		msg, files, err = m.front.Recv()
	}
	if err != nil {
		return err
	}
	if msg[0] != MsgConfig || len(files) != 3 {
		return fmt.Errorf("unexpected message %q from the front", msg)
	}
	m.program, m.lock = files[1], files[2]
	data, err := io.ReadAll(io.NewSectionReader(files[0], 0, 64<<20))
	if err != nil {
		return err
	}
	files[0].Close()
	m.conf, err = decode(data)
	return err
}

// readProgram reads what init executed, of which further programs of the container
// take their part.
func readProgram(f *os.File) (*program.Program, error) {
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 64<<20))
	if err != nil {
		return nil, err
	}
	p, ok := program.Decode(data)
	if !ok {
		return nil, errors.New("the front's program cannot be read")
	}
	p.Ops = nil
	return p, nil
}

// mount puts the root file system together.
func (m *monitor) mount() error {
	if m.conf.Plain != "" {
		if err := sys.Mount(m.conf.Plain, m.conf.Tree.Target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
	} else {
		ladder, err := rootfs.Choose(m.conf.Driver)
		if err != nil {
			return err
		}
		if err := m.ownUpper(); err != nil {
			return err
		}
		unmount, err := ladder.Mount(m.conf.Tree)
		if err != nil {
			return fmt.Errorf("mount the root file system: %w", err)
		}
		m.undo = append(m.undo, unmount)
		m.recordDriver(ladder)
		for _, missed := range ladder.Missed() {
			m.notice(fmt.Sprintf("the root file system goes without the %s driver: %s", missed.Driver, missed.Reason()))
		}
		for _, text := range ladder.Notices() {
			m.notice(text)
		}
	}
	for _, v := range m.conf.Volumes {
		if err := fill(m.conf.Tree.Target, v); err != nil {
			return fmt.Errorf("fill the volume at %s: %w", v.Target, err)
		}
	}
	return nil
}

// recordDriver writes which rung holds, for who inspects the container.
func (m *monitor) recordDriver(l *rootfs.Ladder) {
	path := m.path(state.DriverFile)
	if l.Name() == (*rootfs.Kernel)(nil).Name() {
		_ = unix.Unlink(path) // of an earlier start
		return
	}
	text := l.Name() + "\n"
	for _, missed := range l.Missed() {
		text += "no " + missed.Driver + ": " + missed.Reason() + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		m.notice("the rootfs driver was not recorded: " + err.Error())
	}
}

// ownUpper gives the upper directory the mode of the topmost layer's and makes it
// root's, for the overlay's root shows both. The front made it under the caller's
// umask and as the caller, whom a map with keep-id does not call 0.
func (m *monitor) ownUpper() error {
	if m.conf.Tree.Upper == "" {
		return nil
	}
	top, err := os.Stat(m.conf.Tree.Lowers[0])
	if err != nil {
		return err
	}
	if err := os.Chmod(m.conf.Tree.Upper, top.Mode()); err != nil || os.Getuid() == 0 {
		return err
	}
	err = os.Chown(m.conf.Tree.Upper, 0, 0)
	if errors.Is(err, syscall.EINVAL) { // a single id that is not 0
		return nil
	}
	return err
}

// remove deletes the container's directory from inside its user namespace, where
// the files of subordinate ids can be deleted.
func (m *monitor) remove() error {
	if err := m.removeVolumes(); err != nil {
		m.notice(err.Error())
	}
	// The name first: as long as the directory is there nobody takes the name for
	// stale, and afterwards it may be another container's.
	root := state.Root(filepath.Dir(filepath.Dir(m.conf.Dir)))
	if err := root.Forget(&state.Record{ID: m.conf.ID, Name: filepath.Base(m.conf.Name)}); err != nil {
		return fmt.Errorf("remove the container: %w", err)
	}
	if err := rootfs.RemoveAll(m.conf.Dir); err != nil {
		return fmt.Errorf("remove the container: %w", err)
	}
	return nil
}

// report tells the front why there is no container.
func (m *monitor) report(err error) { m.front.Send(append([]byte{MsgError}, refusal(err)...)) }

// refusal is an error as a message.
func refusal(err error) []byte { return fault.Message(err, sys.MaxMessage-16) }

func (m *monitor) notice(text string) {
	m.front.Send(append([]byte{MsgNotice}, text...))
}

func (m *monitor) path(name string) string { return filepath.Join(m.conf.Dir, name) }
