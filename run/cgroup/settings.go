package cgroup

import (
	"math"
	"strconv"

	"rl/run/plan/option"
)

// Setting is what is written to one file of a cgroup.
type Setting struct {
	Flag       string // that asked for it
	Controller string
	File       string
	Value      string
	Or         *Setting // where there is no such file
	Derived    bool     // nobody asked for it: it is left where there is no such file
}

// Unlimited tells whether it says that there is no limit.
func (s Setting) Unlimited() bool { return s.Value == unlimited }

const (
	unlimited     = "max"
	defaultPeriod = 100000 // µs, the kernel's and docker's
)

// Settings translates docker's terms, which are cgroup v1's, into files of cgroup v2,
// as runc does.
func Settings(l option.Limits) []Setting {
	var list []Setting
	add := func(flag, controller, file, value string) *Setting {
		list = append(list, Setting{Flag: flag, Controller: controller, File: file, Value: value})
		return &list[len(list)-1]
	}
	if l.Memory != 0 {
		add("--memory", "memory", "memory.max", number(l.Memory))
		// docker's default is as much swap as memory.
		swap := add("--memory-swap", "memory", "memory.swap.max", number(l.Memory))
		switch {
		case l.MemorySwap < 0:
			swap.Value = unlimited
		case l.MemorySwap > 0:
			swap.Value = number(l.MemorySwap - l.Memory)
		}
		swap.Derived = l.MemorySwap <= 0
	}
	if l.Reservation != 0 {
		add("--memory-reservation", "memory", "memory.low", number(l.Reservation))
	}
	switch {
	case l.NanoCPUs != 0:
		add("--cpus", "cpu", "cpu.max", quota(l.NanoCPUs*defaultPeriod/1e9, defaultPeriod))
	case l.CPUQuota != 0:
		add("--cpu-quota", "cpu", "cpu.max", quota(l.CPUQuota, l.CPUPeriod))
	case l.CPUPeriod != 0:
		add("--cpu-period", "cpu", "cpu.max", quota(option.NoLimit, l.CPUPeriod))
	}
	if l.CPUShares != 0 {
		add("--cpu-shares", "cpu", "cpu.weight", strconv.FormatUint(weight(l.CPUShares), 10))
	}
	if l.CPUs != "" {
		add("--cpuset-cpus", "cpuset", "cpuset.cpus", l.CPUs)
	}
	if l.Mems != "" {
		add("--cpuset-mems", "cpuset", "cpuset.mems", l.Mems)
	}
	if l.PIDs != 0 {
		add("--pids-limit", "pids", "pids.max", number(l.PIDs))
	}
	if w := uint64(l.BlkioWeight); w != 0 {
		io := Setting{Flag: "--blkio-weight", Controller: "io", File: "io.weight", Value: strconv.FormatUint(1+(w-10)*9999/990, 10)}
		add("--blkio-weight", "io", "io.bfq.weight", strconv.FormatUint(w, 10)).Or = &io
	}
	return list
}

// Change puts an update over limits: what holds then, and what is to be written for it.
func Change(old *option.Limits, change option.Limits, cpus int) (all option.Limits, write []Setting, err error) {
	if old == nil {
		old = &option.Limits{}
	}
	all = old.Merge(change)
	if err := all.Check(cpus); err != nil {
		return *old, nil, err
	}
	was := map[string]string{}
	for _, s := range Settings(*old) {
		was[s.File] = s.Value
	}
	for _, s := range Settings(all) {
		if v, ok := was[s.File]; !ok || v != s.Value {
			write = append(write, s)
		}
	}
	return all, write, nil
}

// controllers are those that settings need, each once.
func controllers(list []Setting) []string {
	var need []string
	seen := map[string]bool{}
	for _, s := range list {
		if !seen[s.Controller] {
			seen[s.Controller] = true
			need = append(need, s.Controller)
		}
	}
	return need
}

func number(n int64) string {
	if n < 0 {
		return unlimited
	}
	return strconv.FormatInt(n, 10)
}

func quota(q, period int64) string {
	if period == 0 {
		period = defaultPeriod
	}
	return number(q) + " " + strconv.FormatInt(period, 10)
}

// weight is v2's for v1's shares: a curve through (2, 1), (1024, 100) and (262144, 10000),
// so that each one's default is the other's (opencontainers/cgroups
// ConvertCPUSharesToCgroupV2Value; a straight line made 39 of 1024 once).
func weight(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}
