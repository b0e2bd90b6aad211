package run

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/plan"
	"rl/run/state"
	"rl/userns/probe"
	"rl/userns/sys"
)

// Description is all that is known of a container.
type Description struct {
	Record *state.Record
	Status state.Status
	Spec   *specs.Spec // nil when it is not kept (--rm)
	Flags  *plan.Flags // what was asked; nil when it is not kept
	Dir    string
	Upper  string // where its changes are, and the scratch beside it; "" with --rootfs
	Work   string
	Driver string   // of its root file system, as it was started last; "" with --rootfs
	Lacked []string // what better drivers lacked, a sentence each
	Error  string   // why it could not be started the last time
	Count  int      // of restarts by policy, since somebody started it
	Pid    int      // of the workload, as the caller sees it; 0 when it does not run
}

// Describe finds a container and what is known of it.
func (e *Engine) Describe(text string) (*Description, error) {
	rec, err := e.State.Find(text)
	if err != nil {
		return nil, err
	}
	d := &Description{Record: rec, Dir: e.State.Dir(rec)}
	if rec.ImageID != "" {
		d.Upper, d.Work = filepath.Join(d.Dir, "upper"), filepath.Join(d.Dir, "work")
	}
	if d.Status, err = e.Status(rec); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(d.Dir, "config.json"))
	if err == nil {
		d.Spec = new(specs.Spec)
		err = json.Unmarshal(data, d.Spec)
	} else if os.IsNotExist(err) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("container %s: config.json: %w", rec.Name, err)
	}
	var asked saved
	if len(rec.Request) > 0 && json.Unmarshal(rec.Request, &asked) == nil {
		d.Flags = &asked.Flags
	}
	if why, err := sys.ReadFile(filepath.Join(d.Dir, state.ErrorFile)); err == nil && !d.Status.Running {
		d.Error = strings.TrimSpace(string(why))
	}
	d.driver()
	d.Count = e.State.Restarts(rec)
	if d.Status.Running && !d.Status.Again {
		d.Pid = workload(rec)
	}
	return d, nil
}

// driver reads what the monitor wrote. A container that was never started may have none but
// the one it was pinned to.
func (d *Description) driver() {
	data, err := os.ReadFile(filepath.Join(d.Dir, state.DriverFile))
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	switch {
	case err == nil:
		d.Driver, d.Lacked = lines[0], lines[1:]
	case d.Record.Fresh:
		if d.Record.Driver != "auto" {
			d.Driver = d.Record.Driver
		}
	case len(d.Record.Layers) > 0:
		d.Driver = string(probe.Overlay)
	}
}

// workload is the process that is 1 in the container: the child of the monitor
// that came first, as the kernel lists them. 0 when that cannot be seen.
func workload(rec *state.Record) int {
	s, err := sys.Dial(rec.Control)
	if err != nil {
		return 0
	}
	defer s.Close()
	pid, err := s.Peer()
	if err != nil || pid == 0 {
		return 0
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range tasks {
		data, _ := os.ReadFile(path)
		for _, word := range strings.Fields(string(data)) {
			child, err := strconv.Atoi(word)
			if err == nil && innermost(child) == 1 {
				return child
			}
		}
	}
	return 0
}

// innermost is a process's number in its own pid namespace.
func innermost(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
			words := strings.Fields(rest)
			n, _ := strconv.Atoi(words[len(words)-1])
			return n
		}
	}
	return 0
}
