package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"rl/cmd/rl/harness"
)

const (
	fsNative  = "native directory"
	fsKernel  = "kernel overlay"
	fsFuse    = "rl FUSE"
	fsOverlay = "fuse-overlayfs"
)

var fsNames = []string{fsFuse, fsOverlay, fsKernel, fsNative}

// treeLimit of one contender's round; slow disks are slow at 512 MB.
const treeLimit = 5 * time.Minute

// rootfsRows is the part rootfs: the same tree in each file system, and the same
// helper in it. The kernel's overlay and rl's FUSE are rl's own containers; the
// native directory and fuse-overlayfs are entered by chroot, in a user and a
// mount namespace.
func (b *bench) rootfsRows() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	tree := filepath.Join(b.home, "tree")
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return err
	}
	layer, err := harness.Layer(b.o.tree)
	if err != nil {
		return err
	}
	if _, err := output("unshare", "--user", "--map-auto", "--map-root-user", "sh", "-c",
		`tar -C "$1" --exclude='./dev/*' -xzf "$2" && install -m 755 "$3" "$1/bench"`, "sh", tree, layer, self); err != nil {
		return err
	}
	if _, err := output(b.o.rl, "pull", "-q", b.refs[b.o.tree]); err != nil {
		return err
	}
	if has("fuse-overlayfs") {
		b.note("fuse-overlayfs", "--version")
	}

	times := map[string]map[string][]float64{} // contender, step
	lack := map[string]string{}
	for _, name := range fsNames {
		times[name] = map[string][]float64{}
	}
	if !has("fuse-overlayfs") {
		lack[fsOverlay] = "fuse-overlayfs is not installed"
	}
	rounds := max(3, b.o.rounds/8)
	for round := range rounds {
		for k := range fsNames {
			name := fsNames[(k+round)%len(fsNames)]
			if lack[name] != "" {
				continue
			}
			if err := b.treeRound(name, tree, self, times[name]); err != nil {
				lack[name] = strings.Join(strings.Fields(err.Error()), " ")
				fmt.Fprintf(os.Stderr, "  %s: %s\n", name, lack[name])
			}
		}
	}
	for _, step := range treeSteps {
		if len(times[fsFuse][step]) == 0 && lack[fsFuse] == "" {
			continue
		}
		r := &row{what: step, unit: "s", scale: 1, mine: fsFuse, goals: []against{{fsOverlay, 1}}}
		if step == stepWrite || step == stepRead {
			r.goals = append(r.goals, against{fsNative, 1.25}) // 0.8 of its speed
		}
		for _, name := range fsNames {
			if lack[name] != "" {
				r.absent = append(r.absent, name+": "+lack[name])
				continue
			}
			r.figures = append(r.figures, figure{name: name, values: times[name][step]})
		}
		r.tell()
		b.trees = append(b.trees, r)
	}
	return nil
}

// treeRound is one contender's turn: the helper once, on a fresh mount, and then
// a start.
func (b *bench) treeRound(name, tree, self string, times map[string][]float64) (err error) {
	upper := filepath.Join(b.home, "upper")
	defer func() { err = errors.Join(err, harness.RemoveTree(upper)) }()
	line := func(args ...string) []string {
		const bare = `mount --rbind /dev "$1/dev" && root=$1 && shift 2 && exec chroot "$root" "$@"`
		const fuse = `mkdir -p "$2/upper" "$2/work" "$2/merged" &&
			fuse-overlayfs -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/merged" &&
			mount --rbind /dev "$2/merged/dev" && root=$2/merged && shift 2 && chroot "$root" "$@"`
		enter := []string{"unshare", "--user", "--map-auto", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c"}
		switch name {
		case fsNative:
			return append(append(enter, bare, "sh", tree, upper), args...)
		case fsOverlay:
			return append(append(enter, fuse, "sh", tree, upper), args...)
		}
		driver := "kernel"
		if name == fsFuse {
			driver = "fuse"
		}
		return append([]string{b.o.rl, "--rootfs-driver", driver, "run", "--rm", "--network", "none",
			"-v", self + ":/bench:ro", b.refs[b.o.tree]}, args...)
	}
	out, err := say(treeLimit, line("/bench", "-load", "tree", "/bench.d")...)
	if err != nil {
		return err
	}
	var r treeResult
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return fmt.Errorf("the helper says %q: %w", out, err)
	}
	b.treeFiles = r.Files
	if err := harness.RemoveTree(upper); err != nil {
		return err
	}
	start := time.Now()
	if _, err := say(treeLimit, line("true")...); err != nil {
		return err
	}
	r.Seconds[stepStart] = time.Since(start).Seconds()
	for step, v := range r.Seconds {
		times[step] = append(times[step], v)
	}
	return nil
}

// geometric is the mean of the ratios of rl FUSE over fuse-overlayfs.
func (b *bench) geometric() (ratio float64, ok bool) {
	var sum float64
	for _, r := range b.trees {
		mine, ok1 := find(r.figures, fsFuse)
		other, ok2 := find(r.figures, fsOverlay)
		if !ok1 || !ok2 || mine.median() == 0 || other.median() == 0 {
			return 0, false
		}
		sum += math.Log(mine.median() / other.median())
	}
	return math.Exp(sum / float64(len(b.trees))), len(b.trees) > 0
}

func (b *bench) treeGoals() []goal {
	var list []goal
	for _, r := range b.trees {
		list = append(list, r.verdicts()...)
	}
	if len(b.trees) > 0 {
		g := goal{what: "geometric mean of the file system rows, against " + fsOverlay, want: "≤ 0.5 ×", got: notAvailable}
		if ratio, ok := b.geometric(); ok {
			g.got, g.met = fmt.Sprintf("%.2f ×", ratio), ratio <= 0.5
		}
		list = append(list, g)
	}
	return list
}

// reportTrees is the section of docs/benchmarks.md.
func (b *bench) reportTrees(p *printer) {
	if len(b.trees) == 0 {
		return
	}
	p.f("## File systems\n\n")
	p.f("One Debian tree of %d files, one program in it that times each step itself; less is better. ", b.treeFiles)
	p.f("Behind a figure: rl FUSE's over that.\n\n")
	p.f("- cold is a fresh mount, whose inodes the kernel does not know yet; the page cache below stays as it is, for dropping it needs root, so for the native directory cold says little\n")
	p.f("- find looks at every file's attributes; writes are not synced; reads are of what was written just before; random reads are %d by each thread, of what is in the page cache: no request reaches a server\n", reads)
	p.f("- a start is from outside: rl makes a whole container, the native directory and fuse-overlayfs only namespaces and a chroot\n\n")
	p.rows(fsNames, b.trees)
}
