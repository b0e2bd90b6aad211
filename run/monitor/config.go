// Package monitor is the process that stands behind one container for as long as
// it lives: in the container's user namespace, over its root file system, but in
// the host's network namespace.
//
//	front                                monitor                              init
//	  │ userns.Start ─────────────────────▶ │  runtime starts
//	  │ ── I how ─────────────────────────▶ │ clone(NEWPID|…) ──────────────────▶ │
//	  │ ◀── B [monitor, init] ───────────── │  where a cgroup can be had           │
//	  │ newuidmap ∥ newgidmap ∥ the plan    │                                      │ runtime starts
//	  │ ∥ the cgroup, with both in it       │                                      │
//	  │ ── J ─────────────────────────────▶ │  maps exist                          │
//	  │ ── F [files] ─────────────────────▶ │ leases, sockets of published ports   │ see run/inside
//	  │ ── C [config, program, lock] ─────▶ │ mounts the root file system, connects the network
//	  │                                     │ ── G [program] ────────────────────▶ │
//	  │ ◀── N text ──────────────────────── │ ◀── N text                           │
//	  │ ◀── P [master, output] ──────────── │ ◀── P [master]                       │
//	  │ ◀── R ───────────────────────────── │ ◀── EOF: execve succeeded            │
//	  │ ◀── E code text ─────────────────── │ ◀── E code text, or its own failure
//	  │ ── S signal, D detach ────────────▶ │ kill
//	  │ ◀── X status ────────────────────── │ wait4, clean up
//
// The bonds. The monitor is pid 1 of a pid namespace around the container's
// own, so when it dies, however it dies, the kernel ends the container, whatever
// the workload did to its credentials. When the front dies its socket reads end
// of file, and unless it had detached, the monitor kills the container and cleans
// up. With --pid=host there is no such namespace: PDEATHSIG alone stands in, which
// a workload can shed.
package monitor

import (
	"encoding/json"
	"fmt"
	"time"

	"rl/run/events"
	"rl/run/health"
	"rl/run/logs"
	"rl/run/plan/option"
	"rl/run/rootfs"
	"rl/slirp"
	"rl/slirp/external"
)

// Stage is the monitor's name in the table of stages.
const Stage = "monitor"

// The messages between the front and the monitor, by their first byte.
const (
	MsgInit     = 'I' // then Start: how init is to be started; with its standard streams when this process has others
	MsgFiles    = 'F' // with descriptors that Config counts, at most sys.MaxRights at a time
	MsgConfig   = 'C' // with three descriptors: Config, Program and the container's lock
	MsgSignal   = 'S' // then the signal's number
	MsgBorn     = 'B' // with pidfds of the monitor and of init
	MsgDetach   = 'D' // the front leaves, the container lives; comes back as an answer. With a further byte it looks on
	MsgNotice   = 'N' // then text
	MsgTerminal = 'P' // with the master, and to the front also what is to be read of it
	MsgInput    = 'I' // to who attaches: with the writing end of standard input
	MsgRunning  = 'R' // the workload was executed
	MsgError    = 'E' // then the exit status and text
	MsgExit     = 'X' // then the exit status
)

// Config is what the monitor is told. Paths are absolute, of the host.
type Config struct {
	ID      string
	Dir     string      // the container's directory
	Tree    rootfs.Tree // its root file system
	Driver  string      // "" or a pinned rung of the rootfs ladder
	Volumes []Volume    // filled from the image before init starts
	Remove  bool        // remove the container at its end
	Own     []string    // with Remove: its anonymous volumes, which go too unless others use them
	Name    string      // with Remove: the file that stands for its name, to be unlinked
	Plain   string      // not "": a directory that is the root file system, no layers (--rootfs)
	Control string      // "" or the path of the socket to listen on, see control.go

	Cgroup Cgroup

	Journal  events.Journal    // what happens is written there
	About    map[string]string // attributes of each event: image, name, labels
	Born     int64             // when it was created, if this is its first start; nanoseconds since 1970
	Attached bool              // the front stays with it

	Hooks       Hooks
	Restart     option.Restart
	Health      *health.Check // nil: it is not probed
	StopSignal  int           // asks the workload to end
	StopTimeout time.Duration // how long it has then

	Network *slirp.Config // nil: no devices are made
	Program *Program      // with Network: another program makes the device and serves it
	Names   Names         // for those who share the network
	Log     logs.Config   // where what the workload writes is kept
	Pipes   int           // from which that comes: the first of the files
	Input   int           // 1: the writing end of standard input follows
	Viewer  int           // 2: the front's own ends to write that to follow, see fanout.Client
	Silent  bool          // the front does not want the terminal
	Leases  int           // files that stand for addresses; those of Network.Ports follow
}

// Cgroup is where the workload and the monitor are.
type Cgroup struct {
	Dir    string `json:",omitempty"` // of the workload; "" without one of its own
	Home   string `json:",omitempty"` // of the monitor
	Rung   string
	Why    string `json:",omitempty"` // there is none, or not the best
	Remedy string `json:",omitempty"` // for a controller that is missing
}

// Start is how init is to be started.
type Start struct {
	Namespaces uintptr // CLONE_NEW* of init
	NoStdin    bool    // standard input is /dev/null
	Reaper     bool    // init wants this executable
	Born       bool    // say whose children there are: the front puts them into a cgroup
	Keep       bool    // the streams are needed again, for another run
	Tap        bool    // the network namespace is the monitor's to make, as it makes devices in it
}

// Message is the start as a message.
func (s Start) Message() []byte {
	return fmt.Appendf(nil, "%c %d %t %t %t %t %t", MsgInit, s.Namespaces, s.NoStdin, s.Reaper, s.Born, s.Keep, s.Tap)
}

func (s *Start) read(msg []byte) error {
	_, err := fmt.Sscanf(string(msg[1:]), "%d %t %t %t %t %t", &s.Namespaces, &s.NoStdin, &s.Reaper, &s.Born, &s.Keep, &s.Tap)
	return err
}

// Program is what connects a container in place of the embedded stack.
type Program struct {
	Kind    external.Kind
	Options external.Options
}

// Names are the files of a container that name it and its network's hosts.
type Names struct {
	Hostname      string
	Resolv, Hosts []byte
}

// Volume is a volume of the container (see run/volume).
type Volume struct {
	Dir    string // on the host
	Target string // in the container
	Fill   bool   // with what the image has there, if it is empty
	// For those who follow its events.
	ReadOnly    bool
	Propagation string
}

// ends tells whether a signal asks the workload to end, for good.
func (c *Config) ends(sig byte) bool { return sig == 9 || int(sig) == c.StopSignal }

// Encode gives the config as bytes for the front to send.
func (c *Config) Encode() ([]byte, error) { return json.Marshal(c) }

func decode(b []byte) (*Config, error) {
	c := new(Config)
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("read the monitor's configuration: %w", err)
	}
	return c, nil
}
