// Bench measures rl against the peers that are installed, all in one run, and
// writes docs/benchmarks.md: figures, ratios, goals, losses included.
//
//	make bench                            everything, about half an hour
//	make bench ARGS='-only start -rounds 50 -o -'
//
// Everything runs as one ordinary user with subordinate ids; root becomes rlsub
// first, in a mount namespace where the cgroup hierarchy is v2 alone, because
// crun and podman refuse the hybrid one. The rounds of one comparison
// are interleaved, so that a busy moment hits all; figures are medians.
//
// Nothing here is a test: timing is noisy, and a test must not be.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"rl/cmd/rl/harness"
)

type options struct {
	only   string
	rounds int
	pulls  int
	out    string
	rl     string
	child  bool
	load   bool
	tree   string
}

// images are those that the parts want which are measured.
func (o options) images() []string {
	list := []string{"debian"}
	if o.only == "" || o.only == "pull" {
		list = append(list, "big1", "big6")
	}
	if (o.only == "" || o.only == "rootfs") && !slices.Contains(list, o.tree) {
		list = append(list, o.tree)
	}
	return list
}

func main() {
	var o options
	flag.StringVar(&o.only, "only", "", "measure only `PART`: start, parallel, pull, network, monitor, rootfs, life or size")
	flag.IntVar(&o.rounds, "rounds", 40, "rounds of starts")
	flag.IntVar(&o.pulls, "pulls", 3, "rounds of pulls")
	flag.StringVar(&o.out, "o", "docs/benchmarks.md", "write to this `FILE`, - is the screen")
	flag.StringVar(&o.rl, "rl", "./rl", "the rl to measure")
	flag.BoolVar(&o.child, "child", false, "measure as the user that this is (internal)")
	flag.StringVar(&o.tree, "tree", "big1", "the image of the file system rows, big1 or debian")
	flag.BoolVar(&o.load, "load", false, "be the load inside a container (internal)")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.load {
		return loadMain(flag.Args())
	}
	if o.child {
		return measure(o, os.Stdout)
	}
	text, err := asOrdinaryUser(o)
	if err != nil {
		return err
	}
	if o.out == "-" {
		_, err = os.Stdout.Write(text)
		return err
	}
	if o.only != "" {
		return errors.New("a part of the figures does not replace all of them: -only wants -o -")
	}
	return os.WriteFile(o.out, text, 0o644)
}

// asOrdinaryUser runs this program again as the one who is measured, and gives
// back what it printed.
func asOrdinaryUser(o options) (text []byte, err error) {
	dir, err := os.MkdirTemp("/var/tmp", "rl-bench-") // on a disk, not on a tmpfs
	if err != nil {
		return nil, err
	}
	clean := sync.OnceValue(func() error { return harness.RemoveTree(dir) })
	defer func() { err = errors.Join(err, clean()) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	var child atomic.Int32
	go func() {
		<-stop
		if pid := child.Load(); pid > 0 {
			syscall.Kill(-int(pid), syscall.SIGKILL)
		}
		clean()
		os.Exit(130)
	}()
	// Two at once measure each other.
	lock, err := os.Open("/var/tmp")
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, fmt.Errorf("another bench is running: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	name := ""
	if os.Getuid() == 0 {
		name = harness.UserWithSubids
	} else if !harness.HasSubids() {
		return nil, errors.New("the peers want subordinate ids, and this user has none")
	}
	for _, image := range o.images() {
		fmt.Fprintln(os.Stderr, "image", image)
		if _, err := harness.Layout(image); err != nil {
			return nil, err
		}
	}
	who, err := harness.NewPerson(name, dir)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for from, to := range map[string]string{self: "bench", o.rl: "rl"} {
		if err := copyProgram(from, filepath.Join(dir, to)); err != nil {
			return nil, err
		}
	}
	args := []string{filepath.Join(dir, "bench"), "-child", "-rl", filepath.Join(dir, "rl"), "-only", o.only,
		"-rounds", fmt.Sprint(o.rounds), "-pulls", fmt.Sprint(o.pulls), "-tree", o.tree}
	cmd := who.Command(who.Home, args[0], args[1:]...)
	if who.Other() {
		cmd = exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c",
			`mount --make-rshared / && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"`, "sh",
			"setpriv", "--reuid", name, "--regid", name, "--init-groups", "--")
		cmd.Args = append(cmd.Args, args...)
		cmd.Dir, cmd.Env = who.Home, who.Env
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	child.Store(int32(cmd.Process.Pid))
	if err := cmd.Wait(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("%w: `make build` makes ./rl", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), os.Chmod(to, 0o755))
}

// measure does everything, as an ordinary user, in an empty home.
func measure(o options, w io.Writer) (err error) {
	home, err := os.Getwd()
	if err != nil {
		return err
	}
	b, err := newBench(home, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	for _, part := range []struct {
		name string
		do   func() error
	}{{"start", b.start}, {"parallel", b.parallel}, {"pull", b.pull}, {"network", b.network}, {"monitor", b.monitor}, {"rootfs", b.rootfsRows}, {"life", b.life}, {"size", b.size}} {
		if o.only != "" && o.only != part.name {
			continue
		}
		fmt.Fprintln(os.Stderr, strings.ToUpper(part.name))
		if err := part.do(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return b.report(w)
}
