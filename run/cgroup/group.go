// Package cgroup gives a container a control group of its own (cgroup v2), where the
// host has one to give.
//
//	user@1000.service/user.slice/rl-<id>.scope/     the service manager's, delegated     (rung "systemd")
//	    monitor/                                    rl's own process behind the container
//	    container/                                  the workload: limits, freezer, cgroup.kill
//
//	<a cgroup that is the caller's>/                of a service, a container, a batch job (rung "delegated")
//	    rl-callers/                                 who was in it, once a limit was asked for: a cgroup that
//	                                                gives controllers to others has no processes of its own
//	    rl-<id>/                                    the workload
//
// Which rung there is, userns/probe finds. The front makes the cgroup, for its process
// ids are the host's; it does so while ids are mapped and the plan is made, and init is
// in it before it executes anything. From then on the monitor has it: it freezes, changes
// limits, ends what is left, and removes it. What a killed monitor leaves of a scope the
// service manager removes, of the other rung the next command does.
//
// Nothing here is kept: that a container is paused, how much it uses and whether it ran
// out of memory is read from the kernel. opencontainers/cgroups would be the library for
// this; with go-systemd and godbus it brings half a megabyte, for writing a dozen small files.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

// Group is the cgroup of a container's workload.
type Group struct{ Dir string }

// write writes one file. A cgroup's files are never made.
func write(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// read gives a file without the newline at its end, "" when there is none.
func read(dir, file string) string {
	data, _ := os.ReadFile(filepath.Join(dir, file))
	return strings.TrimSuffix(string(data), "\n")
}

// Add moves a process in.
func (g Group) Add(pid int) error {
	if err := write(g.Dir, "cgroup.procs", strconv.Itoa(pid)); err != nil {
		return fmt.Errorf("move the container's first process to its cgroup: %w", err)
	}
	return nil
}

// enable has a cgroup give controllers to those below it. Those that it does not have
// are the caller's to miss.
func enable(dir string, want []string) error {
	has, gives := strings.Fields(read(dir, "cgroup.controllers")), strings.Fields(read(dir, "cgroup.subtree_control"))
	var line []string
	for _, c := range want {
		if slices.Contains(has, c) && !slices.Contains(gives, c) {
			line = append(line, "+"+c)
		}
	}
	if len(line) == 0 {
		return nil
	}
	return write(dir, "cgroup.subtree_control", strings.Join(line, " "))
}

// enableAny is enable for what there is, one by one: a controller that cannot be given is
// missed only by who asks for it.
func enableAny(dir string) {
	for c := range strings.FieldsSeq(read(dir, "cgroup.controllers")) {
		_ = enable(dir, []string{c})
	}
}

// Apply writes limits. remedy is what an administrator can do about a controller that
// is not there.
func (g Group) Apply(list []Setting, remedy string) error {
	has := strings.Fields(read(g.Dir, "cgroup.controllers"))
	for _, s := range list {
		if !slices.Contains(has, s.Controller) {
			return fault.New(remedy, "%s: the %s controller is not delegated to you", s.Flag, s.Controller)
		}
	}
	for _, s := range list {
		if err := g.apply(s); err != nil {
			return err
		}
	}
	return nil
}

func (g Group) apply(s Setting) error {
	if s.Controller == "cpuset" {
		if err := g.possible(s); err != nil {
			return err
		}
	}
	err := write(g.Dir, s.File, s.Value)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist) && s.Or != nil:
		return g.apply(*s.Or)
	case errors.Is(err, fs.ErrNotExist) && s.Derived:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fault.New("", "%s: this kernel's cgroups have no %s", s.Flag, s.File)
	case errors.Is(err, unix.EBUSY) && s.Controller == "memory": // it could not be made to fit
		return fault.New("stop it first, or give it more", "%s: the container uses more than that", s.Flag)
	}
	return fmt.Errorf("%s: write %s to %s: %w", s.Flag, s.Value, s.File, errno(err))
}

// possible compares a list of processors or nodes with those that there are: the kernel
// would take any.
func (g Group) possible(s Setting) error {
	there := read(filepath.Dir(g.Dir), s.File+".effective")
	if there == "" {
		return nil
	}
	asked, err := option.CPUSet(s.Value)
	if err != nil {
		return err
	}
	have, err := option.CPUSet(there)
	if err != nil {
		return err
	}
	for n := range asked {
		if !have[n] {
			what := "CPUs"
			if s.Flag == "--cpuset-mems" {
				what = "memory nodes"
			}
			return fault.New("", "requested %s are not available - requested %s, available: %s", what, s.Value, there)
		}
	}
	return nil
}

// errno is the kernel's own word of an error, without the path, which its file's name
// stands for.
func errno(err error) error {
	var e unix.Errno
	if errors.As(err, &e) {
		return e
	}
	return err
}

// Frozen tells whether the container is paused.
func (g Group) Frozen() bool { return g.Dir != "" && read(g.Dir, "cgroup.freeze") == "1" }

// Killed tells how many processes of the container the kernel ended because its memory
// limit, or one above it, was reached.
func (g Group) Killed() int {
	n, _ := strconv.Atoi(field(read(g.Dir, "memory.events"), "oom_kill"))
	return n
}

// field is a value of a file whose lines are "name value".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), " "); key == name {
			return value
		}
	}
	return ""
}

// populated tells whether there are processes in the cgroup or below.
func (g Group) populated() bool { return field(read(g.Dir, "cgroup.events"), "populated") == "1" }
