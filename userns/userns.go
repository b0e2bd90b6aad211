// Package userns starts processes of rl in a new user namespace.
//
// The child is this very binary, as a stage (see userns/stage). It is cloned
// into the namespace and executes while the id maps are still being written:
// newuidmap and newgidmap run side by side with the start of the child's Go
// runtime. An exec in a namespace without maps would cost the capabilities, so
// they are made ambient before (see attributes for the exception).
//
//	parent                                   child
//	  │ clone(NEWUSER|…), ambient caps, exec ──▶ │ runtime starts
//	  │ newuidmap ∥ newgidmap, or write          │
//	  │ ── J ──────────────────────────────────▶ │ Join returns
//	  │ ◀───────────── the stage's own protocol ─▶ │
//
// The child keeps the caller's own user, group and supplementary groups, under
// whatever numbers the map gives them: what the caller may read, it may read. It
// has every capability over the namespace, also where the caller is not 0 in it.
//
// Which ids there are is decided elsewhere (userns/idmap, userns/probe); this
// package acts.
package userns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/userns/idmap"
	"rl/userns/stage"
	"rl/userns/sys"
)

// FdSocket is where a stage finds its socket; donated files follow.
const FdSocket = 3

// msgJoin tells the child that its ids exist.
const msgJoin = 'J'

// Config says what to start and where. Its zero value but for Stage and Map is
// good: no further namespaces, standard streams on /dev/null.
type Config struct {
	Stage      string      // in the table of main
	Args       []string    // after "rl __stage"
	Env        []string    // besides the stage's variable
	Map        idmap.Map   // the ids of the namespace
	Helpers    bool        // write the map by newuidmap and newgidmap
	Namespaces uintptr     // further CLONE_NEW* flags
	Stdio      [3]*os.File // nil: /dev/null
	Files      []*os.File  // donated as descriptors 4, 5, …
	Dir        string      // working directory; "" is the parent's
}

// Child is a process in its own user namespace. The caller waits for it.
type Child struct {
	Pid    int
	Socket *sys.Socket
	maps   chan error
}

// Start clones the child and begins to write its maps. The child waits in Join
// until Release.
func Start(c Config) (*Child, error) {
	ours, theirs, err := sys.Socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	files := make([]uintptr, 0, 8)
	for _, f := range c.Stdio {
		if f == nil {
			f = null
		}
		files = append(files, f.Fd())
	}
	files = append(files, uintptr(theirs.Fd()))
	for _, f := range c.Files {
		files = append(files, f.Fd())
	}
	pid, err := syscall.ForkExec("/proc/self/exe", stage.Argv(c.Stage, c.Args...), &syscall.ProcAttr{
		Dir:   c.Dir,
		Env:   stage.Env(c.Stage, c.Env...),
		Files: files,
		Sys:   attributes(c),
	})
	runtime.KeepAlive(c)
	if err != nil {
		ours.Close()
		return nil, explainClone(err)
	}
	child := &Child{Pid: pid, Socket: ours, maps: make(chan error, 1)}
	if direct(c) {
		child.maps <- nil // package syscall wrote them
		return child, nil
	}
	go func() { child.maps <- writeMaps(pid, c) }()
	return child, nil
}

// attributes keeps the capabilities across exec: as user 0, whose map exists by
// then, or else as ambient ones. The former is preferred because ambient
// capabilities cannot be had in a container of the single-id rung, where the fake
// root turns capset(2) into nothing.
func attributes(c Config) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | c.Namespaces, Setsid: true}
	if !direct(c) {
		attr.AmbientCaps = AllCaps()
		return attr
	}
	attr.UidMappings, attr.GidMappings = mappings(c.Map.UIDs), mappings(c.Map.GIDs)
	attr.GidMappingsEnableSetgroups = privileged(c.Map)
	return attr
}

// direct tells whether the map can be written without helpers and makes the
// caller user 0.
func direct(c Config) bool {
	uid, ok := c.Map.UIDs.ToContainer(uint32(os.Geteuid()))
	return ok && uid == 0 && !c.Helpers
}

func mappings(r idmap.Ranges) []syscall.SysProcIDMap {
	list := make([]syscall.SysProcIDMap, len(r))
	for i, l := range r {
		list[i] = syscall.SysProcIDMap{ContainerID: int(l.Container), HostID: int(l.Host), Size: int(l.Size)}
	}
	return list
}

// Adopt takes over a child that was cloned into a user namespace already and
// waits in Join; socket is the parent's end of its socket. Only the maps of c
// matter.
func Adopt(pid, socket int, c Config) *Child {
	child := &Child{Pid: pid, Socket: sys.SocketAt(socket), maps: make(chan error, 1)}
	go func() { child.maps <- writeMaps(pid, c) }()
	return child
}

// Foreign is a child that another process started in a user namespace with maps
// of its own: it is only known by its socket, whose end is its own.
func Foreign(socket *sys.Socket) *Child {
	child := &Child{Socket: socket, maps: make(chan error, 1)}
	child.maps <- nil
	return child
}

// Release waits for the maps and lets the child go on. On failure the child is
// killed, and waited for.
func (c *Child) Release() error {
	err := <-c.maps
	if err == nil {
		err = c.Socket.Send([]byte{msgJoin})
	}
	if err != nil {
		c.Kill()
		return err
	}
	return nil
}

// Kill ends the child and takes its exit status away.
func (c *Child) Kill() {
	if c.Pid != 0 {
		unix.Kill(c.Pid, unix.SIGKILL)
		c.Wait()
	}
	c.Socket.Close()
}

// Wait waits for the child's end; not for that of a foreign one.
func (c *Child) Wait() (syscall.WaitStatus, error) {
	var ws syscall.WaitStatus
	if c.Pid == 0 {
		return ws, nil
	}
	for {
		_, err := syscall.Wait4(c.Pid, &ws, 0, nil)
		if err != syscall.EINTR {
			return ws, err
		}
	}
}

// Join is the first thing that a stage does in its new user namespace: it waits
// until the ids exist.
func Join() (*sys.Socket, error) {
	s, err := Parent()
	if err != nil {
		return nil, err
	}
	return s, Await(s)
}

// Parent is the stage's end of its socket.
func Parent() (*sys.Socket, error) {
	var st unix.Stat_t
	if err := unix.Fstat(FdSocket, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return nil, errors.New("this is an inner stage of rl: rl itself starts it")
	}
	return sys.SocketAt(FdSocket), nil
}

// Await waits until the ids exist, for a stage that had something else to do
// before.
func Await(s *sys.Socket) error {
	msg, _, err := s.Recv()
	if err != nil {
		return fmt.Errorf("wait for the id maps: %w", err)
	}
	if msg[0] != msgJoin {
		return fmt.Errorf("wait for the id maps: unexpected message %q", msg)
	}
	return nil
}

func privileged(m idmap.Map) bool { return m.UIDs.Size() > 1 || m.GIDs.Size() > 1 }

// AllCaps is every capability that the kernel knows: the ambient set of a stage
// that is not user 0 in its namespace.
func AllCaps() []uintptr {
	last := uintptr(unix.CAP_LAST_CAP)
	if b, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		if n, err := strconv.Atoi(string(trimNewline(b))); err == nil {
			last = uintptr(n)
		}
	}
	caps := make([]uintptr, 0, last+1)
	for c := uintptr(0); c <= last; c++ {
		caps = append(caps, c)
	}
	return caps
}

func trimNewline(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		return b[:n-1]
	}
	return b
}
