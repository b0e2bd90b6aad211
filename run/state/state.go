// Package state is what is on disk of a container.
//
//	containers/<id>/            locked (flock) by the monitor for as long as the container lives
//	                state.json  what was asked: Record
//	                config.json the plan, a runtime-spec configuration
//	                files/      resolv.conf, hosts, hostname
//	                upper/ work/
//	                exit        the exit status, once there is one
//	                error       why it could not be started, when that was tried last
//	                cgroup      where the workload's cgroup is, while it runs, if it has one
//	                health      what probes have shown, of one with a health check
//	                driver      the rung of its root file system and why, where that is not the first
//	ephemeral/<id>/             the same of a container that is removed when it ends (--rm)
//	names/<name>                a symbolic link that holds the id: it is made once, so it is the name's lock
//
// No file says whether a container runs: the lock on its directory does, and the
// kernel frees it when the monitor dies, however it dies. No lock is shared by two
// containers. Every inode here is paid at each start, so there are few.
package state

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/health"
	"rl/run/plan/option"
	"rl/userns/idmap"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// Record is what is known of a container from its creation on.
type Record struct {
	ID        string
	Name      string
	Image     string // as the user named it
	ImageID   string `json:",omitempty"`
	Command   []string
	Entry     int      `json:",omitempty"` // how much of Command is the entry point
	Env       []string `json:",omitempty"` // the image's variables and the user's, without the container's own
	Layers    []string `json:",omitempty"` // directories of the image's layers it stands on
	Created   time.Time
	Map       idmap.Map       // the ids its files were written under
	Helpers   bool            // the map needs newuidmap
	Remove    bool            `json:",omitempty"`
	Driver    string          `json:",omitempty"` // pinned rootfs driver; see DriverFile
	Ports     []PublishedPort `json:",omitempty"`
	Exposed   []string        `json:",omitempty"` // ports, the image's and those of --expose
	Network   string          `json:",omitempty"` // the rung of the network ladder
	Endpoints []Endpoint      `json:",omitempty"` // where it is in networks
	Control   string          `json:",omitempty"` // the monitor's socket for commands
	Restart   *option.Restart `json:",omitempty"`
	Health    *health.Check   `json:",omitempty"`
	Limits    *option.Limits  `json:",omitempty"`
	Mounts    []Mount         `json:",omitempty"` // binds and volumes

	Fresh       bool              `json:",omitempty"` // created and never started
	Request     json.RawMessage   `json:",omitempty"` // what was asked, to start it again
	Labels      map[string]string `json:",omitempty"`
	Terminal    bool              `json:",omitempty"`
	Interactive bool              `json:",omitempty"`
	Detached    bool              `json:",omitempty"` // made by `run -d`
	LogDriver   string            `json:",omitempty"` // "" is json-file
	StopSignal  string            `json:",omitempty"` // "" is SIGTERM
	StopTimeout *time.Duration    `json:",omitempty"` // before SIGKILL; nil is 10 s
}

// PublishedPort is a port of the container that is reached by one of the host.
type PublishedPort struct {
	Proto         string     // tcp or udp
	HostIP        netip.Addr `json:",omitzero"` // invalid: every address
	HostPort      uint16
	ContainerPort uint16
}

// recordFile is the record's, which also has the time of the last start as its
// own.
const recordFile = "state.json"

// LogFile is where a container's directory has what its workload wrote.
const LogFile = "log"

// DriverFile has, in a line each, the rootfs driver that the container was started with last
// and what better ones lacked. There is none for the first rung, which is the usual one.
const DriverFile = "driver"

// CgroupFile has the directory of the cgroup that the workload was started in last, where it
// has one of its own.
const CgroupFile = "cgroup"

// ErrorFile has why the container could not be started the last time that was tried.
const ErrorFile = "error"

// OOMKilled stands at the end of what ExitFile holds when the kernel ended a process of the
// container for want of memory.
const OOMKilled = "oom"

// Container is an open container: whoever has one holds its lock.
type Container struct {
	Dir  string
	Lock *os.File // the directory, open
}

// Root is the directory that containers live in, the store's root.
type Root string

// NewID makes a container id: 64 hexadecimal digits.
func NewID() string {
	var b [32]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// parent is the directory that a container's lies in.
func parent(ephemeral bool) string {
	if ephemeral {
		return "ephemeral"
	}
	return "containers"
}

// Dir is where the container of a record is.
func (r Root) Dir(rec *Record) string {
	return filepath.Join(string(r), parent(rec.Remove), rec.ID)
}

// find is where the container with an id is, "" when there is none.
func (r Root) find(id string) string {
	for _, ephemeral := range []bool{false, true} {
		dir := filepath.Join(string(r), parent(ephemeral), id)
		if _, err := os.Lstat(dir); err == nil {
			return dir
		}
	}
	return ""
}

func (r Root) name(name string) string { return filepath.Join(string(r), "names", name) }

// Target is the directory that root file systems are mounted on: one for all, as
// every monitor has its own mount namespace.
func (r Root) Target() string { return filepath.Join(string(r), "rootfs") }

// Create makes a container's directory with the subdirectories named, takes its
// lock and its name. An empty rec.Name gets a generated one.
func (r Root) Create(rec *Record, dirs ...string) (*Container, error) {
	c := &Container{Dir: r.Dir(rec)}
	err := r.claim(c, rec)
	if err == nil {
		err = r.fill(c, rec, dirs)
	}
	if err != nil {
		c.Close()
		os.RemoveAll(c.Dir)
		return nil, err
	}
	return c, nil
}

// claim makes the container's directory and locks it. In between, a sweeper may
// have taken it for litter, locked it and removed it: then another is made.
func (r Root) claim(c *Container, rec *Record) error {
	for range 100 {
		err := r.mkdir(rec)
		if err != nil {
			return err
		}
		if c.Lock, err = os.Open(c.Dir); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := sys.Lock(c.Lock, false); err != nil {
			return fmt.Errorf("lock the new container: %w", err)
		}
		if isAt(c.Lock, c.Dir) {
			return nil
		}
		c.Lock.Close()
	}
	return errors.New("the new container's directory is removed again and again")
}

func (r Root) fill(c *Container, rec *Record, dirs []string) (err error) {
	for _, d := range dirs {
		if err := os.Mkdir(filepath.Join(c.Dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Mkdir(r.Target(), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := r.takeName(rec); err != nil {
		return err
	}
	data, err := json.Marshal(rec)
	if err == nil {
		err = os.WriteFile(filepath.Join(c.Dir, recordFile), data, 0o600)
	}
	if err != nil {
		os.Remove(r.name(rec.Name))
	}
	return err
}

// Rewrite changes the record of a container whose lock the caller holds; a reader
// sees the old one or the new one.
func (r Root) Rewrite(rec *Record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return sys.Replace(filepath.Join(r.Dir(rec), recordFile), data, 0o600)
}

// Own reads the record in a container's directory, for whoever has its lock.
func Own(dir string) (*Record, error) {
	path := filepath.Join(dir, recordFile)
	data, err := sys.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rec := new(Record)
	if err := json.Unmarshal(data, rec); err != nil {
		return nil, fmt.Errorf("%s: %w", path, ErrDamaged)
	}
	return rec, nil
}

// Amend changes that record. The time of the file stays: it is that of the last start.
func Amend(dir string, change func(*Record)) error {
	path := filepath.Join(dir, recordFile)
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	rec, err := Own(dir)
	if err != nil {
		return err
	}
	change(rec)
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	if err := os.Chtimes(path+".new", time.Time{}, st.ModTime()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// Reopen takes the lock of a container that has ended, to start it again. It waits
// a while for those who only look into it.
func (r Root) Reopen(rec *Record) (*Container, error) {
	for try := 0; ; try++ {
		f, err := r.Claim(rec, false)
		if err == nil {
			return &Container{Dir: r.Dir(rec), Lock: f}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || r.Running(rec.ID) || try == reopenTries {
			return nil, err
		}
		time.Sleep(reopenPause)
	}
}

const (
	reopenTries = 500
	reopenPause = 20 * time.Millisecond
)

// mkdir makes the container's directory, and the one above it when it is the
// first.
func (r Root) mkdir(rec *Record) error {
	err := os.Mkdir(r.Dir(rec), 0o755)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(r.Dir(rec)), 0o700); err != nil {
			return err
		}
		err = os.Mkdir(r.Dir(rec), 0o755)
	}
	return err
}

// takeName claims a name for the container. A name whose container is gone, for
// instance because it was killed while it was being removed, is free, and so is
// that of litter.
func (r Root) takeName(rec *Record) error {
	generated := rec.Name == ""
	for try := 0; ; try++ {
		if generated {
			rec.Name = generateName(try)
		}
		err := os.Symlink(rec.ID, r.name(rec.Name))
		switch {
		case err == nil:
			return nil
		case errors.Is(err, os.ErrNotExist):
			if err := os.MkdirAll(filepath.Join(string(r), "names"), 0o700); err != nil {
				return err
			}
		case !errors.Is(err, os.ErrExist):
			return fmt.Errorf("take the name %s: %w", rec.Name, err)
		case generated && try < 1000:
		default:
			if holder, freed := r.freeStale(rec.Name); !freed || try >= 1000 {
				return taken(rec.Name, holder)
			}
		}
	}
}

// ErrDamaged is an error of Read and Find: the record is there and makes no sense.
// What came with it has the id and the name only.
var ErrDamaged = errors.New("its record is damaged")

// Read reads a container's record.
func (r Root) Read(id string) (*Record, error) {
	dir := r.find(id)
	if dir == "" {
		return nil, removed(id)
	}
	return r.read(dir, id)
}

// read is the record in a container's directory.
func (r Root) read(dir, id string) (*Record, error) {
	data, err := sys.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, removed(id)
	}
	rec := new(Record)
	if err == nil {
		err = json.Unmarshal(data, rec)
	}
	if err != nil || rec.ID != id {
		rec = &Record{ID: id, Name: r.NameOf(id), Remove: filepath.Base(filepath.Dir(dir)) == parent(true)}
		return rec, fault.New("`rl rm` removes it, with -f also while it runs", "container %.12s: %w (%s)", id, ErrDamaged, filepath.Join(dir, recordFile))
	}
	r.current(rec)
	return rec, nil
}

// removed is the error of a container with an id that is not there any more; it is an
// [os.ErrNotExist].
type removed string

func (r removed) Error() string { return fmt.Sprintf("container %.12s was removed", string(r)) }

func (removed) Is(err error) bool { return err == os.ErrNotExist }

// Close gives the lock back, unless another process has it too.
func (c *Container) Close() error {
	if c.Lock == nil {
		return nil
	}
	return c.Lock.Close()
}
