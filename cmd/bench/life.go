package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	lifePodman = "podman"
	lifeMany   = 64    // at once
	lifeIdle   = 100   // containers that do nothing
	lifeEnded  = 1000  // containers that `ps -a` lists
	lifeLog    = 1_000 // megabytes
)

var lifeNames = []string{netRl, lifePodman}

// lives are the figures of containers that live.
type lives struct {
	rows []*row
	ps   figure
	pss  []float64 // bytes, each idle container's
	log  int64     // peak of `rl logs`, bytes
}

// life is the part of containers in the background.
func (b *bench) life() error {
	lack := ""
	if !b.podman {
		lack = "it is not installed"
	}
	measure := func(what, unit string, scale float64, rounds int, goal float64, do func(e engine) (float64, error)) {
		r := &row{what: what, unit: unit, scale: scale, goals: []against{{lifePodman, goal}}}
		r.measure(rounds, []runner{
			{name: netRl, do: func() (float64, error) { return do(b.rlEngine()) }},
			{name: lifePodman, do: func() (float64, error) { return do(b.podmanEngine()) }, lack: lack},
		})
		b.lives.rows = append(b.lives.rows, r)
	}
	few := max(3, b.o.rounds/8)
	measure("`run -d` until it returns", "ms", 1e3, few, 0.2, func(e engine) (s float64, err error) {
		s, err = timed(func() error { return e.do(append(e.run("one"), "sleep", "1000")...) })
		return s, errors.Join(err, e.do("rm", "-f", "one"))
	})
	measure("`exec` of `true`", "ms", 1e3, few, 0.125, func(e engine) (s float64, err error) {
		if err := e.do(append(e.run("one"), "sleep", "1000")...); err != nil {
			return 0, err
		}
		if err := e.do("exec", "one", "true"); err != nil { // warm
			return 0, err
		}
		s, err = timed(func() error { return e.do("exec", "one", "true") })
		return s, errors.Join(err, e.do("rm", "-f", "one"))
	})
	removal := map[string][]float64{}
	measure(fmt.Sprintf("%d × `run -d` at once", lifeMany), "s", 1, 1, 0.125, func(e engine) (float64, error) {
		s, err := timed(func() error {
			return together(lifeMany, func(i int) error { return e.do(append(e.run("many"+strconv.Itoa(i)), "sleep", "1000")...) })
		})
		r, err2 := timed(func() error {
			return together(lifeMany, func(i int) error { return e.do("rm", "-f", "many"+strconv.Itoa(i)) })
		})
		removal[e.program] = append(removal[e.program], r)
		return s, errors.Join(err, err2)
	})
	measure(fmt.Sprintf("then %d × `rm -f` at once", lifeMany), "s", 1, 1, 0.125, func(e engine) (float64, error) {
		return median(removal[e.program]), nil
	})
	line := strings.Repeat("x", 99)
	write := fmt.Sprintf("yes %s | head -c %d000000", line, lifeLog)
	measure(fmt.Sprintf("a workload that writes %d MB of logs", lifeLog), "s", 1, 1, 1, func(e engine) (float64, error) {
		return timed(func() error {
			return errors.Join(e.do(append(e.run("log"), "sh", "-c", write)...), e.do("wait", "log"))
		})
	})
	measure("`logs` of those", "s", 1, 1, 1, func(e engine) (float64, error) {
		stop := watchMemory()
		s, err := timed(func() error { return e.do("logs", "log") })
		if e.program == b.o.rl {
			b.lives.log = stop()
		} else {
			stop()
		}
		return s, errors.Join(err, e.do("rm", "-f", "log"))
	})
	return errors.Join(b.lifeIdle(), b.lifeList())
}

type engine struct {
	program string
	options []string // of run
	image   string
}

func (b *bench) rlEngine() engine {
	return engine{b.o.rl, []string{"--network", "none"}, b.refs["debian"]}
}

func (b *bench) podmanEngine() engine {
	return engine{"podman", []string{"--network", "none", "--cgroups=disabled"}, b.refs["debian"]}
}

func (e engine) run(name string) []string {
	return append(append([]string{"run", "-d", "--name", name}, e.options...), e.image)
}

func (e engine) do(args ...string) error {
	return quietly(contender{}, append([]string{e.program}, args...))
}

func timed(do func() error) (float64, error) {
	start := time.Now()
	err := do()
	return time.Since(start).Seconds(), err
}

func together(n int, do func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// lifeIdle measures the memory of monitors whose containers do nothing.
func (b *bench) lifeIdle() error {
	e := b.rlEngine()
	name := func(i int) string { return "idle" + strconv.Itoa(i) }
	for i := range lifeIdle {
		if err := e.do(append(e.run(name(i)), "sleep", "1000")...); err != nil {
			return err
		}
	}
	time.Sleep(2 * time.Second)
	for i := range lifeIdle {
		out, err := output(b.o.rl, "inspect", "--format", "{{.State.Pid}}", name(i))
		if err != nil {
			return err
		}
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(out) + "/status")
		if err != nil {
			return err
		}
		monitor, err := numberAfter(string(stat), "PPid:")
		if err != nil {
			return err
		}
		v, err := pss(monitor)
		if err != nil {
			return err
		}
		b.lives.pss = append(b.lives.pss, v)
	}
	fmt.Fprintf(os.Stderr, "  %d idle containers: PSS %.2f MB each\n", lifeIdle, median(b.lives.pss)/1e6)
	return together(lifeIdle, func(i int) error { return e.do("rm", "-f", name(i)) })
}

// lifeList measures `ps -a`.
func (b *bench) lifeList() error {
	for i := range lifeEnded {
		if _, err := output(b.o.rl, "create", "--name", "made"+strconv.Itoa(i), "--network", "none", b.refs["debian"], "true"); err != nil {
			return err
		}
	}
	list, err := race(5, false, []contender{{name: "rl ps -a", do: [][]string{{b.o.rl, "ps", "-a"}}}})
	if err != nil {
		return err
	}
	b.lives.ps = list[0]
	_, err = output(b.o.rl, "container", "prune", "-f")
	return err
}

func (b *bench) lifeGoals() []goal {
	var list []goal
	for _, r := range b.lives.rows {
		list = append(list, r.verdicts()...)
		if mine, ok := find(r.figures, netRl); ok && strings.HasPrefix(r.what, "`exec`") {
			list = append(list, goal{r.what, "≤ 10 ms", fmt.Sprintf("%.1f ms", mine.median()*1e3), mine.median() <= 0.01})
		}
	}
	if len(b.lives.pss) > 0 {
		list = append(list,
			goal{fmt.Sprintf("memory (PSS) of each of %d idle containers", lifeIdle), "≤ 6 MB", fmt.Sprintf("%.1f MB", median(b.lives.pss)/1e6), median(b.lives.pss) <= 6e6},
			goal{fmt.Sprintf("`ps -a` of %d containers", lifeEnded), "≤ 50 ms", fmt.Sprintf("%.1f ms", b.lives.ps.median()*1e3), b.lives.ps.median() <= 0.05})
	}
	return list
}

// reportLife is the section of docs/benchmarks.md.
func (b *bench) reportLife(p *printer) {
	if len(b.lives.rows) == 0 {
		return
	}
	p.f("## Containers in the background\n\nWithout a network, of the same image; less is better. Behind a figure: rl's over that. Both write their logs to files of their own formats.\n\n")
	p.rows(lifeNames, b.lives.rows)
	if len(b.lives.pss) == 0 {
		return
	}
	p.f("| rl | |\n|---|---|\n| memory (PSS) of each of %d idle containers | %.2f MB |\n", lifeIdle, median(b.lives.pss)/1e6)
	p.f("| `ps -a` of %d containers | %.1f ms |\n| memory of `logs` of %d MB, at its peak | %.1f MB |\n\n", lifeEnded, b.lives.ps.median()*1e3, lifeLog, float64(b.lives.log)/1e6)
}
