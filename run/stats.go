package run

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"rl/run/cgroup"
	"rl/run/state"
)

// Stats is what a running container has used of the machine.
type Stats struct {
	At            time.Time
	CPU           time.Duration // since it began, or of the processes there are where it has no cgroup
	Memory, Limit uint64        // bytes; without a limit all that the machine has
	PIDs          uint64        // processes and threads
	Read, Written uint64        // bytes of block devices
	Received      uint64        // bytes of its network; none of the host's
	Sent          uint64
}

// Stats looks at a running container: at its cgroup, and at its processes where that does
// not tell. ok is false when it does not run.
func (e *Engine) Stats(rec *state.Record) (u Stats, ok bool) {
	first := workload(rec)
	if first == 0 {
		return u, false
	}
	u.At, u.Limit = time.Now(), machineMemory()
	known := cgroup.Usage{CPU: -1, Memory: -1, Limit: -1, PIDs: -1}
	if g, ok := e.workloadCgroup(rec); ok {
		known = g.Usage()
	}
	if known.CPU < 0 || known.Memory < 0 || known.PIDs < 0 {
		sum := sumProcesses(first)
		fill(&known.CPU, sum.CPU)
		fill(&known.Memory, sum.Memory)
		fill(&known.PIDs, sum.PIDs)
	}
	u.CPU, u.Memory, u.PIDs = known.CPU, uint64(known.Memory), uint64(known.PIDs)
	u.Read, u.Written = uint64(max(known.Read, 0)), uint64(max(known.Written, 0))
	if known.Limit >= 0 {
		u.Limit = min(u.Limit, uint64(known.Limit))
	}
	if own, _ := os.Readlink("/proc/self/ns/net"); own != readlink(first, "ns/net") {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", first))
		u.Received, u.Sent = parseNetDev(string(data))
	}
	return u, true
}

func fill[T int64 | time.Duration](to *T, v T) {
	if *to < 0 {
		*to = v
	}
}

func readlink(pid int, name string) string {
	to, _ := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, name))
	return to
}

// sumProcesses adds up what procfs says of the processes in a container.
func sumProcesses(first int) (u cgroup.Usage) {
	list, err := processesOf(first)
	if err != nil {
		return u
	}
	for _, p := range list {
		u.CPU += p.CPU
		statm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID))
		if f := strings.Fields(string(statm)); len(f) > 2 {
			resident, _ := strconv.ParseInt(f[1], 10, 64)
			shared, _ := strconv.ParseInt(f[2], 10, 64)
			u.Memory += (resident - shared) * int64(os.Getpagesize())
		}
		u.PIDs += int64(p.Threads)
	}
	return u
}

// parseNetDev adds up the interfaces but loopback.
func parseNetDev(text string) (received, sent uint64) {
	for line := range strings.Lines(text) {
		name, numbers, ok := strings.Cut(line, ":")
		f := strings.Fields(numbers)
		if !ok || strings.TrimSpace(name) == "lo" || len(f) < 9 {
			continue
		}
		in, _ := strconv.ParseUint(f[0], 10, 64)
		out, _ := strconv.ParseUint(f[8], 10, 64)
		received, sent = received+in, sent+out
	}
	return received, sent
}

// machineMemory is how many bytes of memory there are.
func machineMemory() uint64 {
	data, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
