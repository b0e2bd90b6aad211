// Runtests is `make test`: it compiles the test of every package once and runs
// each as the ordinary users it is meant for.
//
// An ordinary user runs them as themself. Root runs nothing: the tests run as
// rlsub (who has subordinate ids) and again as rlone (who has none), from
// a copy of the tree that those users can read, with a home and a runtime
// directory of their own, and nothing of root's environment.
//
//	go run ./.ci/runtests [-v] [-run REGEXP] [-cover] [-fuzz TIME] [PACKAGE…]
//
// A test that passed for one of the users counts as run. With RL_TEST_REQUIRE=1
// one that passed for none of them, because it skipped itself, is a failure,
// unless .ci/skips allows it by name and says why.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"rl/cmd/rl/harness"
)

type runner struct {
	verbose bool
	run     string
	cover   bool
	fuzz    time.Duration
	timeout time.Duration

	top    string // the checkout
	dir    string // ours, for a while
	src    string // the tree the tests run in
	debian string // a tar archive of a Debian, for tests below the whole program
	users  []*harness.Person

	mu      sync.Mutex
	results map[string]*result // by "package.Test"
	whole   map[string]bool    // tests whose subtests ran
	failed  []string           // packages that did not end well, by name and user
}

func main() {
	r := &runner{results: map[string]*result{}, whole: map[string]bool{}}
	flag.BoolVar(&r.verbose, "v", false, "print the output of tests that pass, too")
	flag.StringVar(&r.run, "run", "", "run only the tests that match `REGEXP`")
	flag.BoolVar(&r.cover, "cover", false, "say how much of each package the tests reach")
	flag.DurationVar(&r.fuzz, "fuzz", 0, "run each fuzz target for this `TIME` instead of the tests")
	flag.DurationVar(&r.timeout, "timeout", 25*time.Minute, "for the tests of one package")
	flag.Parse()
	os.Setenv("CGO_ENABLED", "0") // as rl itself: a test may run where there is no libc
	ok, err := r.all(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "runtests:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

type pkg struct {
	path string // rl/oci/ref
	dir  string // below the top: oci/ref
	test string // the compiled test
}

func (r *runner) all(patterns []string) (ok bool, err error) {
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	if r.top, err = os.Getwd(); err != nil {
		return false, err
	}
	base := os.TempDir()
	if os.Getuid() == 0 {
		base = "/var/tmp" // on a disk, and where other users may walk
	}
	if r.dir, err = os.MkdirTemp(base, "rl-test-"); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, r.clean()) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-stop
		r.clean()
		os.Exit(130)
	}()

	if r.fuzz == 0 {
		if err := r.images(); err != nil {
			return false, err
		}
	}
	if err := r.people(); err != nil {
		return false, err
	}
	if err := r.tree(); err != nil {
		return false, err
	}
	pkgs, err := r.list(patterns)
	if err != nil {
		return false, err
	}
	built, err := r.compile(pkgs)
	if err != nil {
		return false, err
	}
	if r.fuzz > 0 {
		return r.fuzzAll(pkgs)
	}
	r.runAll(pkgs)
	if r.cover {
		return built, r.coverage()
	}
	return r.report() && built, nil
}

func (r *runner) clean() error {
	if os.Getenv("RL_TEST_KEEP") != "" {
		fmt.Println("kept", r.dir)
		return nil
	}
	var errs []error
	for _, p := range r.users {
		errs = append(errs, p.Undelegate())
	}
	return errors.Join(append(errs, harness.RemoveTree(r.dir))...)
}

func (r *runner) list(patterns []string) ([]pkg, error) {
	args := append([]string{"list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var pkgs []pkg
	for line := range strings.Lines(string(out)) {
		path, dir, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		rel, err := filepath.Rel(r.top, dir)
		if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, pkg{path, rel, filepath.Join(r.dir, "bin", strings.ReplaceAll(path, "/", "-")+".test")})
	}
	if len(pkgs) == 0 {
		return nil, errors.New("no package with tests")
	}
	return pkgs, nil
}

// compile builds rl and all tests. A package that does not compile is reported
// like a failed one, and the others run.
func (r *runner) compile(pkgs []pkg) (ok bool, err error) {
	bin := filepath.Join(r.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return false, err
	}
	ok = true
	extra := []string(nil)
	if r.cover {
		extra = []string{"-cover", "-coverpkg=./..."}
	}
	build := append([]string{"build", "-trimpath", "-o", filepath.Join(bin, "rl")}, extra...)
	if out, err := exec.Command("go", append(build, "./cmd/rl")...).CombinedOutput(); err != nil {
		fmt.Printf("%s\nFAIL\trl/cmd/rl [build failed]\n", out)
		ok = false
	}
	jobs := make(chan *pkg)
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for p := range jobs {
				args := append([]string{"test", "-c", "-o", p.test}, extra...)
				if r.fuzz > 0 {
					args = append(args, "-fuzz=.") // instrumented
				}
				out, err := exec.Command("go", append(args, "./"+p.dir)...).CombinedOutput()
				if err != nil {
					r.mu.Lock()
					fmt.Printf("%s\nFAIL\t%s [build failed]\n", out, p.path)
					r.failed = append(r.failed, p.path+" [build failed]")
					p.test, ok = "", false
					r.mu.Unlock()
				} else if err := os.Chmod(p.test, 0o755); err != nil {
					panic(err)
				}
			}
		})
	}
	for i := range pkgs {
		jobs <- &pkgs[i]
	}
	close(jobs)
	wg.Wait()
	return ok, os.Chmod(bin, 0o755)
}

func (r *runner) runAll(pkgs []pkg) {
	type job struct {
		p   pkg
		who *harness.Person
	}
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range min(runtime.NumCPU(), 4) {
		wg.Go(func() {
			for j := range jobs {
				r.one(j.p, j.who)
			}
		})
	}
	// The longest first.
	slices.SortStableFunc(pkgs, func(a, b pkg) int { return strings.Count(a.path, "cmd/rl") - strings.Count(b.path, "cmd/rl") })
	slices.Reverse(pkgs)
	for _, p := range pkgs {
		if p.test == "" {
			continue
		}
		for _, who := range r.users {
			jobs <- job{p, who}
		}
	}
	close(jobs)
	wg.Wait()
}

// command is a compiled test, as somebody, in its package's directory.
func (r *runner) command(p pkg, who *harness.Person, args ...string) *exec.Cmd {
	return who.Command(filepath.Join(r.src, p.dir), p.test, args...)
}

func (r *runner) one(p pkg, who *harness.Person) {
	args := []string{"-test.v=test2json", "-test.paniconexit0", "-test.timeout=" + r.timeout.String()}
	if r.run != "" {
		args = append(args, "-test.run="+r.run)
	}
	if r.cover {
		args = append(args, "-test.gocoverdir="+filepath.Join(who.Home, "cover"))
	}
	cmd := r.command(p, who, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second // for pipes that a left-over process holds
	start := time.Now()
	err := cmd.Start()
	if err == nil {
		err = cmd.Wait()
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	took := time.Since(start).Seconds()

	r.mu.Lock()
	defer r.mu.Unlock()
	counts := r.read(p.path, out.String())
	as := ""
	if who.Other() {
		as = " [" + who.Name + "]"
	}
	switch {
	case err != nil && r.cover:
		// A stage that has changed its root cannot write its counters, and says so
		// on stderr, which tests compare: verdicts are for `make test`.
		fmt.Printf("ran \t%s\t%.3fs%s\n", p.path, took, as)
	case err != nil:
		os.Stdout.WriteString(failures(out.String()))
		fmt.Printf("FAIL\t%s\t%.3fs%s: %v\n", p.path, took, as, err)
		r.failed = append(r.failed, p.path+as)
	case r.verbose:
		os.Stdout.WriteString(strings.ReplaceAll(out.String(), "\x16", ""))
		fallthrough
	default:
		fmt.Printf("ok  \t%s\t%.3fs%s%s\n", p.path, took, as, counts)
	}
}

var verdict = regexp.MustCompile(`^\x16? *--- (PASS|FAIL|SKIP): (\S+) \(`)
