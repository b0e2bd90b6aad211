package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/run/cgroup"
	"rl/run/plan/option"
	"rl/run/state"
	"rl/userns/sys/fault"
)

// born shows the front its children: pidfds, for the numbers that this process has for
// them, and for itself, mean nothing outside of its pid namespace.
func (m *monitor) born() error {
	var fds []int
	for _, pid := range []int{os.Getpid(), m.init.pid} {
		fd, err := unix.PidfdOpen(pid, 0)
		if err == unix.ENOSYS { // before Linux 5.3; the front says so
			break
		}
		if err != nil {
			return fmt.Errorf("open a pidfd: %w", err)
		}
		defer unix.Close(fd)
		fds = append(fds, fd)
	}
	return m.front.Send([]byte{MsgBorn}, fds...)
}

// takeCgroup takes over the cgroup that the front made, to be removed at the end.
func (m *monitor) takeCgroup() {
	m.group.Dir = m.conf.Cgroup.Dir
	if m.group.Dir == "" {
		return
	}
	m.undo = append(m.undo, m.group.Remove)
	if err := os.WriteFile(m.path(state.CgroupFile), []byte(m.group.Dir), 0o600); err != nil {
		m.notice("the container's cgroup was not recorded: " + err.Error())
	}
}

// enter has a child be born in the workload's cgroup. What it gives must be open
// until then.
func (m *monitor) enter(attr *syscall.SysProcAttr) (*os.File, error) {
	if m.group.Dir == "" {
		return nil, nil
	}
	dir, err := os.OpenFile(m.group.Dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, os.ErrNotExist) { // between two runs an empty one may be swept away
		return nil, errOver
	}
	if err != nil {
		return nil, fmt.Errorf("enter the container's cgroup: %w", err)
	}
	attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
	return dir, nil
}

// renew has the init of another run in the workload's cgroup.
func (m *monitor) renew() error {
	if m.group.Dir == "" {
		return nil
	}
	m.limits.Lock()
	defer m.limits.Unlock()
	rec, err := state.Own(m.conf.Dir)
	if err != nil {
		return err
	}
	var list []cgroup.Setting
	if rec.Limits != nil {
		list = cgroup.Settings(*rec.Limits)
	}
	return m.group.Renew(list, m.conf.Cgroup.Remedy, m.init.pid)
}

// ranOut tells whether the kernel ended a process of this run because memory ran out.
func (m *monitor) ranOut() bool {
	if m.group.Dir == "" {
		return false
	}
	before := m.killed
	if m.killed = m.group.Killed(); m.killed < before { // it was made again
		before = 0
	}
	return m.killed > before
}

// leave takes a process of rl's out of it again: its memory and its threads are not the
// container's to pay.
func (m *monitor) leave(pid int) {
	if m.group.Dir != "" {
		_ = cgroup.Group{Dir: m.conf.Cgroup.Home}.Add(pid) // where it is it does no harm
	}
}

// withCgroup does something with the cgroup of a workload that runs.
func (m *monitor) withCgroup(verb string, do func() error) error {
	m.limits.Lock()
	defer m.limits.Unlock()
	m.mu.Lock()
	running := m.running && !m.ended
	m.mu.Unlock()
	switch {
	case !running:
		return errOver
	case m.group.Dir == "":
		return fault.New(m.conf.Cgroup.Remedy, "cannot %s: the container has no cgroup of its own: %s", verb, m.conf.Cgroup.Why)
	}
	return do()
}

func (m *monitor) freeze() error {
	return m.withCgroup("pause", func() error {
		if m.group.Frozen() {
			return errors.New("the container is already paused")
		}
		return m.group.Freeze()
	})
}

func (m *monitor) thaw() error {
	return m.withCgroup("unpause", func() error {
		if !m.group.Frozen() {
			return errors.New("the container is not paused")
		}
		return m.group.Thaw()
	})
}

// resume lets a workload go on that got a signal while it was paused.
func (m *monitor) resume() error {
	m.limits.Lock()
	defer m.limits.Unlock()
	if !m.group.Frozen() {
		return nil
	}
	if err := m.group.Thaw(); err != nil && m.group.Frozen() {
		return err
	}
	return nil // or it has ended by the signal
}

// update changes limits, in the kernel first.
func (m *monitor) update(data []byte) error {
	var change option.Limits
	if err := json.Unmarshal(data, &change); err != nil {
		return err
	}
	return m.withCgroup("update limits", func() error {
		var refused error
		err := state.Amend(m.conf.Dir, func(r *state.Record) {
			all, list, err := cgroup.Change(r.Limits, change, runtime.NumCPU())
			if err == nil {
				err = m.group.Apply(list, m.conf.Cgroup.Remedy)
			}
			if refused = err; err == nil {
				r.Limits = &all
			}
		})
		return errors.Join(refused, err)
	})
}
