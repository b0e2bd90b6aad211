package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rl/cmd/rl/harness"
)

// find gives the figure of a contender.
func find(list []figure, name string) (figure, bool) {
	for _, f := range list {
		if f.name == name {
			return f, true
		}
	}
	return figure{}, false
}

// A goal is a promise of the project, and what was measured.
type goal struct {
	what, want, got string
	met             bool
}

func (b *bench) goals() []goal {
	var list []goal
	ratio := func(figures []figure, a, c, what, want string, limit float64, atMost bool) {
		x, ok1 := find(figures, a)
		y, ok2 := find(figures, c)
		if !ok1 || !ok2 || y.median() == 0 {
			return
		}
		r := x.median() / y.median()
		got := fmt.Sprintf("%.2f ×", r)
		if !atMost {
			r = 1 / r
			got = fmt.Sprintf("%.1f ×", r)
		}
		list = append(list, goal{what, want, got, atMost && r <= limit || !atMost && r >= limit})
	}
	ratio(b.starts, "rl run", "crun run", "a warm start, against `crun run` of the same root filesystem", "≤ 1.25 ×", 1.25, true)
	ratio(b.starts, "rl run", "podman run", "a warm start, faster than rootless podman", "≥ 10 ×", 10, false)
	ratio(b.runs, "rl run", "podman run", fmt.Sprintf("%d in parallel: runs a second, against podman", atOnce), "≥ 10 ×", 10, false)
	ratio(b.pulls, "rl pull", "podman pull", "pull of one layer, against `podman pull`", "≤ 0.50 ×", 0.5, true)
	one, ok1 := find(b.pulls, "rl pull")
	six, ok6 := find(b.pulls6, "rl pull")
	if ok1 && ok6 {
		r := six.median() / one.median()
		list = append(list, goal{"pull of six layers, against one of the same content", "≤ 1.00 ×", fmt.Sprintf("%.2f ×", r), r <= 1.0})
		peak := max(one.peak, six.peak)
		list = append(list, goal{"memory of a pull, all processes", "≤ 100 MB", fmt.Sprintf("%.0f MB", float64(peak)/1e6), peak <= 100e6})
	}
	if b.bytes > 0 {
		list = append(list,
			goal{"package init of the whole binary", "≤ 2.5 ms", fmt.Sprintf("%.2f ms", b.init), b.init <= 2.5},
			goal{"size of the binary", "≤ 35 MB", fmt.Sprintf("%.1f MB", float64(b.bytes)/1e6), b.bytes <= 35e6})
	}
	if v, ok := find(b.versions, "rl version"); ok {
		list = append(list, goal{"`rl version`", "≤ 10 ms", fmt.Sprintf("%.1f ms", v.median()*1e3), v.median() <= 0.010})
	}
	return slices.Concat(list, b.netGoals(), b.treeGoals(), b.lifeGoals())
}

// report writes docs/benchmarks.md.
func (b *bench) report(w io.Writer) error {
	p := &printer{w: w}
	p.f("# Benchmarks\n\n")
	p.f("<!-- Written by `make bench`; what is changed here by hand is lost. -->\n\n")
	p.f("Everything below was measured in one run, as one ordinary user with subordinate ids, by\n\n")
	p.f("```sh\nmake bench\n```\n\n")
	p.f("Figures are medians of interleaved rounds (%d for starts, %d for pulls). Absolute times belong to the machine; ratios travel better.\n\n", b.o.rounds, b.o.pulls)
	p.f("- date: %s\n- machine: %s\n", time.Now().UTC().Format("2006-01-02"), machine())
	p.f("- peers: %s\n", strings.Join(b.versionsOf, " · "))
	p.f("- podman gets kernel overlayfs and `--cgroups=disabled`, crun `--cgroup-manager=disabled`: the fastest that each can do here\n- a pull begins with nothing left to write (sync); rl writes all it got to the disk before it publishes, the peers do not wait for that\n- memory is the sum of the peaks of all processes of a command, pages that they share counted in each\n\n")

	p.f("## Goals\n\n| | goal | measured | |\n|---|---|---|---|\n")
	var lost []goal
	for _, g := range b.goals() {
		verdict := "met"
		if !g.met {
			if verdict = "**not met**"; g.got == notAvailable {
				verdict = "**not measured**"
			}
			lost = append(lost, g)
		}
		p.f("| %s | %s | %s | %s |\n", g.what, g.want, g.got, verdict)
	}
	p.f("\n")
	if len(lost) == 0 {
		p.f("Every goal is met.\n\n")
	}
	for _, g := range lost {
		if g.got == notAvailable {
			p.f("Not measured: %s. The goal is %s.\n", g.what, g.want)
			continue
		}
		p.f("Not met: %s. The goal is %s, measured %s.\n", g.what, g.want, g.got)
	}
	if len(lost) > 0 {
		p.f("\n")
	}

	p.table("Warm start: `run --rm --network none` of `true` in Debian 12", b.starts, "rl run", 1e3, "ms", false)
	if len(b.starts) > 0 {
		p.f("bwrap and ch-run do less: one id, no overlay, no image, no seccomp filter, no capabilities kept from the program.\n\n")
	}
	if len(b.runs) > 0 {
		p.f("## %d starts at once\n\n| | seconds | runs a second | against rl |\n|---|---|---|---|\n", atOnce)
		for _, f := range b.runs {
			p.f("| %s | %.2f | %.1f | %.2f × |\n", f.name, f.median(), atOnce/f.median(), f.median()/b.runs[0].median())
		}
		p.f("\n")
	}
	for _, x := range []struct {
		image   string
		figures []figure
	}{{"big1", b.pulls}, {"big6", b.pulls6}} {
		if len(x.figures) > 0 {
			p.table("Pull from a registry on loopback: "+content(x.image), x.figures, "rl pull", 1, "s", true)
		}
	}
	b.reportNetwork(p)
	b.reportTrees(p)
	b.reportLife(p)
	if b.bytes > 0 {
		p.f("## The binary\n\n| | |\n|---|---|\n| size | %.1f MB |\n| package init | %.2f ms |\n", float64(b.bytes)/1e6, b.init)
		if v, ok := find(b.versions, "rl version"); ok {
			p.f("| `rl version` | %.1f ms |\n", v.median()*1e3)
		}
	}
	return p.err
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) f(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) table(title string, figures []figure, against string, scale float64, unit string, memory bool) {
	if len(figures) == 0 {
		return
	}
	p.f("## %s\n\n| | median | best | against rl |", title)
	if memory {
		p.f(" peak memory |")
	}
	p.f("\n|---|---|---|---|")
	if memory {
		p.f("---|")
	}
	p.f("\n")
	base, _ := find(figures, against)
	for _, f := range figures {
		p.f("| %s | %.1f %s | %.1f %s | %.2f × |", f.name, f.median()*scale, unit, f.best()*scale, unit, f.median()/base.median())
		if memory {
			p.f(" %.0f MB |", float64(f.peak)/1e6)
		}
		p.f("\n")
	}
	p.f("\n")
}

// content describes an image as it is, not as its recipe hopes.
func content(image string) string {
	dir, err := harness.Layout(image)
	if err != nil {
		return image
	}
	img, err := harness.ReadLayout(dir)
	if err != nil {
		return image
	}
	m, err := img.Manifest()
	if err != nil {
		return image
	}
	var packed int64
	for _, l := range m.Layers {
		packed += l.Size
	}
	plural := "s"
	if len(m.Layers) == 1 {
		plural = ""
	}
	return fmt.Sprintf("%d gzip layer%s, %d MB", len(m.Layers), plural, packed/1e6)
}

func machine() string {
	model := "unknown processor"
	if raw, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	var u unix.Utsname
	kernel := "unknown"
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	system := ""
	if raw, err := os.ReadFile("/etc/os-release"); err == nil {
		for line := range strings.Lines(string(raw)) {
			if v, ok := strings.CutPrefix(line, "PRETTY_NAME="); ok {
				system = strings.Trim(strings.TrimSpace(v), `"`)
			}
		}
	}
	memory := ""
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		memory = fmt.Sprintf(", %d GB", (uint64(s.Totalram)*uint64(s.Unit)+1<<29)>>30)
	}
	return fmt.Sprintf("%s, %d cores%s, Linux %s, %s", model, runtime.NumCPU(), memory, kernel, system)
}
