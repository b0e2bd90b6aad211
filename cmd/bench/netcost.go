package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	setUpNone = "rl, no network"
	setUpRl   = "rl, slirp"
)

// setUp: what a network adds to a warm start.
func (b *bench) setUp() (err error) {
	line := func(mode string) [][]string {
		return [][]string{{b.o.rl, "run", "--rm", "--network", mode, b.refs["debian"], "true"}}
	}
	list := []contender{{name: setUpNone, do: line("none")}, {name: setUpRl, do: line("slirp")}}
	for _, name := range []string{netSlirp, netPasta} {
		if has(name) {
			list = append(list, contender{name: "rl, " + name, do: line(name)})
		}
	}
	if has(netPodman) {
		list = append(list,
			contender{name: "podman, no network", do: [][]string{b.podmanRun()}},
			contender{name: "podman", do: [][]string{{"podman", "run", "--rm", "--cgroups=disabled", b.refs["debian"], "true"}}})
	}
	if _, err := race(2, false, list); err != nil { // warm
		return err
	}
	b.setUps, err = race(b.o.rounds, false, list)
	return err
}

// added is the median of what a round with the network took longer than the
// same round without.
func (b *bench) added() (seconds float64, ok bool) {
	none, ok1 := find(b.setUps, setUpNone)
	with, ok2 := find(b.setUps, setUpRl)
	if !ok1 || !ok2 {
		return 0, false
	}
	var more []float64
	for i, v := range with.values {
		more = append(more, v-none.values[i])
	}
	return median(more), true
}

// monitors is what the processes cost that wait behind idle containers.
type monitors struct {
	alone, among float64 // bytes of PSS: one, and the mean of many
	cpu          float64 // seconds of one, in idleTime
}

const (
	idleMany = 20
	idleTime = 5 * time.Second
)

// idle: a monitor with the stack and no traffic.
func (b *bench) idle() (err error) {
	var pids []int
	var stops []func() error
	more := func() error {
		pid, stop, err := b.waiting()
		if err != nil {
			return err
		}
		stops = append(stops, stop)
		pids = append(pids, pid)
		return nil
	}
	defer func() {
		for _, stop := range stops {
			err = errors.Join(err, stop())
		}
	}()
	if err := more(); err != nil {
		return err
	}
	time.Sleep(2 * time.Second) // for what only the first moments do
	if b.monitors.alone, err = pss(pids[0]); err != nil {
		return err
	}
	before, err := cpuOf(pids[0])
	if err != nil {
		return err
	}
	time.Sleep(idleTime)
	after, err := cpuOf(pids[0])
	if err != nil {
		return err
	}
	b.monitors.cpu = after - before
	for len(pids) < idleMany {
		if err := more(); err != nil {
			return err
		}
	}
	time.Sleep(2 * time.Second)
	for _, pid := range pids {
		v, err := pss(pid)
		if err != nil {
			return err
		}
		b.monitors.among += v / float64(len(pids))
	}
	fmt.Fprintf(os.Stderr, "  monitor: PSS %.1f MB alone, %.1f MB among %d, %.2f ms of processor in %s\n",
		b.monitors.alone/1e6, b.monitors.among/1e6, idleMany, b.monitors.cpu*1e3, idleTime)
	return nil
}

// waiting is a container that waits to be ended, and its monitor: the child of
// `rl run`, and the parent of the container's first process.
func (b *bench) waiting() (monitor int, stop func() error, err error) {
	front, stop, err := background(b.o.rl, "run", "--rm", "--network", "slirp", b.refs["debian"],
		"sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait")
	if err != nil {
		return 0, nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for _, child := range childrenOf(front) {
			for _, first := range childrenOf(child) {
				if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", first)); string(comm) == "sh\n" {
					return child, stop, nil
				}
			}
		}
	}
	return 0, nil, errors.Join(errors.New("a container does not start"), stop())
}

func numberAfter(text, key string) (int, error) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, fmt.Errorf("no %s is said", key)
}

// pss is the proportional set: a page that several share counts once for all.
func pss(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	kb, err := numberAfter(string(raw), "Pss:")
	return float64(kb) * 1024, err
}

// cpuOf adds up what the threads have run, in seconds; ticks would be too coarse.
func cpuOf(pid int) (float64, error) {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	var sum float64
	for _, t := range tasks {
		raw, err := os.ReadFile(dir + "/" + t.Name() + "/schedstat")
		if err != nil {
			return 0, err
		}
		f := strings.Fields(string(raw))
		if len(f) == 0 {
			return 0, errors.New("schedstat is empty")
		}
		ns, err := strconv.ParseFloat(f[0], 64)
		if err != nil {
			return 0, err
		}
		sum += ns / 1e9
	}
	return sum, nil
}

// netGoals are those that compare with a number, not with a peer.
func (b *bench) netGoals() []goal {
	var list []goal
	for _, r := range b.nets {
		list = append(list, r.verdicts()...)
	}
	if s, ok := b.added(); ok {
		list = append(list, goal{"a network, added to a warm start", "≤ 3 ms", fmt.Sprintf("%.1f ms", s*1e3), s <= 0.003})
	}
	if m := b.monitors; m.alone > 0 {
		share := m.cpu / idleTime.Seconds() * 100
		list = append(list,
			goal{"memory (PSS) of a monitor with a network, alone", "≤ 10 MB", fmt.Sprintf("%.1f MB", m.alone/1e6), m.alone <= 10e6},
			goal{fmt.Sprintf("the same, each of %d", idleMany), "≤ 6 MB", fmt.Sprintf("%.1f MB", m.among/1e6), m.among <= 6e6},
			goal{"processor time of an idle monitor", "0.0 %", fmt.Sprintf("%.1f %%", share), share < 0.05})
	}
	return list
}
