package state

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rl/run/cgroup"
	"rl/run/health"
	"rl/userns/sys"
)

// Status is what a container is doing.
type Status struct {
	Running  bool
	Paused   bool
	Again    bool           // it runs, but waits to be started again: Exit and Finished are of the last run
	ByUser   bool           // somebody stopped it
	Health   *health.Report // nil without a health check
	OOM      bool           // the kernel ended a process of it for want of memory
	Started  time.Time      // zero: never
	Exit     int            // its exit status, when it has ended
	Finished time.Time
	Unseen   bool // nobody was there when it ended: Exit is Killed, Finished the last that is known
}

// ExitFile is where the monitor writes how the workload ended.
const ExitFile = "exit"

// Again stands there while a container that has ended waits to be started again, and
// ByUser when somebody stopped it.
const (
	Again  = "again"
	ByUser = "user"
)

// RestartsFile has how often the monitor has started the workload again.
const RestartsFile = "restarts"

// Restarts is how often that was since somebody started the container.
func (r Root) Restarts(rec *Record) int {
	data, _ := sys.ReadFile(filepath.Join(r.Dir(rec), RestartsFile))
	n, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	return n
}

// Killed is the status of a container whose monitor was killed: the kernel ended
// the workload by SIGKILL then.
const Killed = 137

// Status tells it by the container's lock, which no crash can leave behind, and by
// what its monitor wrote at the end.
func (r Root) Status(rec *Record) (Status, error) {
	s, err := r.life(rec)
	s.Health = r.health(rec, s)
	return s, err
}

func (r Root) life(rec *Record) (s Status, err error) {
	dir := r.Dir(rec)
	s.Running = r.Running(rec.ID)
	if st, err := os.Stat(filepath.Join(dir, recordFile)); err == nil && !rec.Fresh {
		s.Started = st.ModTime()
	}
	if s.Running {
		s.Paused = r.Cgroup(rec).Frozen()
		if rec.Restart == nil || !rec.Restart.Any() {
			return s, nil
		}
	}
	data, err := sys.ReadFile(filepath.Join(dir, ExitFile))
	if errors.Is(err, os.ErrNotExist) { // nobody was there to write it
		if s.Running || rec.Fresh {
			return s, nil
		}
		s.Exit, s.Finished, s.Unseen = Killed, s.Started, true
		return s, nil
	}
	if err != nil {
		return s, err
	}
	code, when, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	when, more, _ := strings.Cut(when, " ")
	for word := range strings.FieldsSeq(more) {
		switch word {
		case OOMKilled:
			s.OOM = true
		case Again:
			s.Again = s.Running // or its monitor was killed while it waited
		case ByUser:
			s.ByUser = true
		}
	}
	if s.Running && !s.Again { // it is just ending
		return s, nil
	}
	if s.Exit, err = strconv.Atoi(code); err != nil {
		return s, err
	}
	if !rec.Fresh { // or it is that of a start that came to nothing
		s.Finished, _ = time.Parse(time.RFC3339Nano, when)
	}
	return s, nil
}

// Cgroup is that of a running container; its directory is "" when it has none of its own.
func (r Root) Cgroup(rec *Record) cgroup.Group {
	data, _ := sys.ReadFile(filepath.Join(r.Dir(rec), CgroupFile))
	return cgroup.Group{Dir: string(data)}
}

// Claim takes the lock of a container that has ended.
func (r Root) Claim(rec *Record, wait bool) (*os.File, error) {
	f, err := os.Open(r.Dir(rec))
	if err != nil {
		return nil, err
	}
	if err := sys.Lock(f, !wait); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Visit takes a lock of a container that does not run, which others who visit may
// have, too: nobody starts it or removes it meanwhile.
func (r Root) Visit(rec *Record) (*os.File, error) {
	f, err := os.Open(r.Dir(rec))
	if err != nil {
		return nil, err
	}
	if err = sys.Share(f); err == nil {
		_, err = os.Lstat(r.Dir(rec)) // it may have been removed before
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
