package run

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// Process is one of a container's, as the caller sees it.
type Process struct {
	PID, Parent int
	UID         uint32 // the host's number
	CPU         time.Duration
	Threads     int
	Started     time.Time
	Terminal    string // as pts/0; ? is none
	Command     string
}

// Processes lists what runs in a container's pid namespace.
func (e *Engine) Processes(text string) ([]Process, error) {
	rec, err := e.running(text)
	if err != nil {
		return nil, err
	}
	first := workload(rec)
	if first == 0 {
		return nil, fault.New("", "the processes of container %s cannot be seen", rec.Name)
	}
	return processesOf(first)
}

// processesOf lists those in the pid namespace of one.
func processesOf(first int) ([]Process, error) {
	space, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", first))
	if err != nil {
		return nil, err
	}
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var list []Process
	for _, d := range names {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if ns, err := os.Readlink("/proc/" + d.Name() + "/ns/pid"); err == nil && ns == space {
			if p, ok := process(pid); ok {
				list = append(list, p)
			}
		}
	}
	slices.SortFunc(list, func(a, b Process) int { return a.PID - b.PID })
	return list, nil
}

// ticks is USER_HZ, the same on every architecture that rl runs on.
const ticks = 100

func process(pid int) (p Process, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return p, false
	}
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return p, false
	}
	// The name in parentheses may hold anything, a parenthesis too.
	end := strings.LastIndexByte(string(stat), ')')
	f := strings.Fields(string(stat)[end+1:])
	if len(f) < 20 {
		return p, false
	}
	p.PID, p.UID = pid, st.Uid
	p.Parent, _ = strconv.Atoi(f[1])
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	p.CPU = time.Duration(user+system) * time.Second / ticks
	p.Threads, _ = strconv.Atoi(f[17])
	terminal, _ := strconv.Atoi(f[4])
	p.Terminal = terminalName(uint64(terminal))
	begin, _ := strconv.ParseInt(f[19], 10, 64)
	p.Started = time.Now().Add(-(uptime() - time.Duration(begin)*time.Second/ticks))
	args, _ := os.ReadFile(dir + "/cmdline")
	p.Command = strings.TrimSpace(strings.ReplaceAll(string(args), "\x00", " "))
	if p.Command == "" {
		p.Command = "[" + string(stat)[strings.IndexByte(string(stat), '(')+1:end] + "]"
	}
	return p, true
}

// uptime is the clock that processes' starts are counted by.
func uptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// terminalName is what ps calls a terminal's device.
func terminalName(dev uint64) string {
	major, minor := unix.Major(dev), unix.Minor(dev)
	switch {
	case dev == 0:
		return "?"
	case major >= 136 && major <= 143: // Unix98 ptys
		return "pts/" + strconv.Itoa(int(major-136)<<20+int(minor))
	case major == 4 && minor < 64:
		return "tty" + strconv.Itoa(int(minor))
	case major == 4:
		return "ttyS" + strconv.Itoa(int(minor-64))
	}
	return strconv.Itoa(int(major)) + ":" + strconv.Itoa(int(minor))
}
