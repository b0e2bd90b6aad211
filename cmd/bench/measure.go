package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"rl/cmd/rl/harness"
)

// A contender does the same work as the others, its own way.
type contender struct {
	name   string
	before func(round int) error // not measured
	do     [][]string            // one command after the other, measured together
	dir    string
	env    []string
	after  func(round int) error // not measured
}

// A figure is what a contender took, a value a round.
type figure struct {
	name   string
	values []float64 // seconds, unless it is a row's
	peak   int64     // bytes; the greatest of all rounds
}

func (f figure) median() float64 { return median(f.values) }

// median of an empty list is 0.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	if len(s) == 0 {
		return 0
	}
	n := len(s) / 2
	if len(s)%2 == 1 {
		return s[n]
	}
	return (s[n-1] + s[n]) / 2
}

func (f figure) best() float64 {
	if len(f.values) == 0 {
		return 0
	}
	return slices.Min(f.values)
}

// race runs all contenders once a round, in turn, each beginning once.
func race(rounds int, memory bool, list []contender) ([]figure, error) {
	figures := make([]figure, len(list))
	for i, c := range list {
		figures[i].name = c.name
	}
	for round := range rounds {
		for k := range list {
			i := (k + round) % len(list)
			c := list[i]
			if c.before != nil {
				if err := c.before(round); err != nil {
					return nil, fmt.Errorf("%s: %w", c.name, err)
				}
			}
			stop := func() int64 { return 0 }
			if memory {
				// What one left to write must not slow the next one down.
				unix.Sync()
				stop = watchMemory()
			}
			start := time.Now()
			for _, args := range c.do {
				if err := quietly(c, args); err != nil {
					return nil, err
				}
			}
			took := time.Since(start).Seconds()
			figures[i].values = append(figures[i].values, took)
			figures[i].peak = max(figures[i].peak, stop())
			if c.after != nil {
				if err := c.after(round); err != nil {
					return nil, fmt.Errorf("%s: %w", c.name, err)
				}
			}
		}
	}
	for _, f := range figures {
		fmt.Fprintf(os.Stderr, "  %-14s median %8.1f ms  best %8.1f ms  peak %4d MB\n", f.name, f.median()*1e3, f.best()*1e3, f.peak/1e6)
	}
	return figures, nil
}

func quietly(c contender, args []string) error {
	cmd, cancel := command(patient, args...)
	defer cancel()
	cmd.Dir = c.dir
	if c.env != nil {
		cmd.Env = append(os.Environ(), c.env...)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return nil
}

// podmanRun is podman's fastest way: no network, and no cgroup to make.
func (b *bench) podmanRun() []string {
	return []string{"podman", "run", "--rm", "--network", "none", "--cgroups=disabled", b.refs["debian"], "true"}
}

func (b *bench) rlRun() []string {
	return []string{b.o.rl, "run", "--rm", "--network", "none", b.refs["debian"], "true"}
}

// start: from the call to the exit of `true` in a warm Debian.
func (b *bench) start() (err error) {
	id := fmt.Sprintf("bench-%d", os.Getpid())
	list := []contender{{name: "rl run", do: [][]string{b.rlRun()}}}
	if has("crun") {
		list = append(list, contender{name: "crun run", dir: b.bundle, do: [][]string{{"crun", "--cgroup-manager=disabled", "run", id}}})
	}
	if has("runc") {
		list = append(list, contender{name: "runc run", dir: b.bundle, do: [][]string{{"runc", "run", id}}})
	}
	if has("bwrap") {
		list = append(list, contender{name: "bwrap", do: [][]string{{"bwrap", "--unshare-all", "--uid", "0", "--gid", "0",
			"--ro-bind", b.rootfs, "/", "--proc", "/proc", "--dev", "/dev", "true"}}})
	}
	if has("ch-run") {
		list = append(list, contender{name: "ch-run", do: [][]string{{"ch-run", b.rootfs, "--", "true"}}})
	}
	if has("podman") {
		list = append(list, contender{name: "podman run", do: [][]string{b.podmanRun()}})
	}
	if _, err := race(2, false, list); err != nil { // warm
		return err
	}
	b.starts, err = race(b.o.rounds, false, list)
	return err
}

// parallel: 32 at once, until the last has ended.
func (b *bench) parallel() error {
	type entry struct {
		name string
		args []string
	}
	list := []entry{{"rl run", b.rlRun()}}
	if has("podman") {
		list = append(list, entry{"podman run", b.podmanRun()})
	}
	b.runs = make([]figure, len(list))
	for i, e := range list {
		b.runs[i].name = e.name
	}
	for range max(3, b.o.pulls) {
		for i, e := range list {
			var (
				wg     sync.WaitGroup
				mu     sync.Mutex
				failed error
			)
			start := time.Now()
			for range atOnce {
				wg.Go(func() {
					if err := quietly(contender{}, e.args); err != nil {
						mu.Lock()
						failed = err
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			if failed != nil {
				return failed
			}
			b.runs[i].values = append(b.runs[i].values, time.Since(start).Seconds())
		}
	}
	for _, f := range b.runs {
		fmt.Fprintf(os.Stderr, "  %-14s %6.1f runs/s\n", f.name, atOnce/f.median())
	}
	return nil
}

// pull: from an empty store to an image that can run.
func (b *bench) pull() (err error) {
	for _, image := range []string{"big1", "big6"} {
		ref := b.refs[image]
		root := filepath.Join(b.home, "pulled-"+image)
		list := []contender{{
			name:  "rl pull",
			do:    [][]string{{b.o.rl, "pull", "-q", ref}},
			env:   []string{"RL_ROOT=" + root},
			after: func(int) error { return harness.RemoveTree(root) },
		}}
		if has("podman") {
			list = append(list, contender{
				name:  "podman pull",
				do:    [][]string{{"podman", "pull", "-q", "--tls-verify=false", ref}},
				after: func(int) error { _, err := output("podman", "rmi", "-f", ref); return err },
			})
		}
		if has("skopeo") && has("umoci") {
			list = append(list, contender{
				name: "skopeo + umoci",
				do: [][]string{
					{"skopeo", "copy", "-q", "--src-tls-verify=false", "docker://" + ref, "oci:" + root + ".oci:latest"},
					{"umoci", "unpack", "--rootless", "--image", root + ".oci:latest", root + ".bundle"},
				},
				after: func(int) error {
					if err := harness.RemoveTree(root + ".oci"); err != nil {
						return err
					}
					return harness.RemoveTree(root + ".bundle")
				},
			})
		}
		figures, err := race(b.o.pulls, true, list)
		if err != nil {
			return err
		}
		if image == "big1" {
			b.pulls = figures
		} else {
			b.pulls6 = figures
		}
	}
	return nil
}

// size: what every process of rl pays before main, and what is on disk.
func (b *bench) size() (err error) {
	st, err := os.Stat(b.o.rl)
	if err != nil {
		return err
	}
	b.bytes = st.Size()
	var sums []float64
	for range 11 {
		cmd := exec.Command(b.o.rl, "version")
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		var trace bytes.Buffer
		cmd.Stderr = &trace
		if err := cmd.Run(); err != nil {
			return err
		}
		sum := 0.0
		for line := range strings.Lines(trace.String()) {
			// init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs
			f := strings.Fields(line)
			if len(f) > 4 && f[0] == "init" {
				ms, err := strconv.ParseFloat(f[4], 64)
				if err != nil {
					return fmt.Errorf("inittrace says %q", line)
				}
				sum += ms
			}
		}
		sums = append(sums, sum)
	}
	slices.Sort(sums)
	b.init = sums[len(sums)/2]
	b.versions, err = race(b.o.rounds, false, []contender{{name: "rl version", do: [][]string{{b.o.rl, "version"}}}})
	return err
}

// watchMemory adds up the peak resident memory of every process that lives below
// this one from now on, until it is told to stop. A peak is the kernel's own
// (VmHWM), read until the process has gone. The sum of peaks is never too small.
func watchMemory() (stop func() int64) {
	// Those whose parents end before them come to us.
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	known := map[int]bool{}
	for _, pid := range descendants() {
		known[pid] = true // the registry, podman's keeper
	}
	peaks := map[int]int64{}
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			for _, pid := range descendants() {
				if !known[pid] {
					peaks[pid] = max(peaks[pid], highWater(pid))
				}
			}
			select {
			case <-quit:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(quit)
		<-done
		var sum int64
		for _, n := range peaks {
			sum += n
		}
		return sum
	}
}

func descendants() []int {
	var all []int
	next := []int{os.Getpid()}
	for len(next) > 0 {
		children := childrenOf(next[0])
		all, next = append(all, children...), append(next[1:], children...)
	}
	return all
}

func childrenOf(pid int) (children []int) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		for f := range strings.FieldsSeq(string(raw)) {
			if child, err := strconv.Atoi(f); err == nil {
				children = append(children, child)
			}
		}
	}
	return children
}

func highWater(pid int) int64 {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb * 1024
		}
	}
	return 0
}
