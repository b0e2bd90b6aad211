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
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
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

// A result is what a test came to among all who ran it.
type result struct {
	passed, failed int
	reasons        []string // of its skips
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

// people finds who runs the tests.
func (r *runner) people() error {
	names := []string{""}
	if os.Getuid() == 0 {
		names = []string{harness.UserWithSubids, harness.UserWithoutSubids}
		if err := os.Chmod(r.dir, 0o755); err != nil {
			return err
		}
	}
	for _, name := range names {
		p, err := harness.NewPerson(name, r.dir)
		if err != nil {
			return err
		}
		p.Env = append(p.Env, "RL_TEST_BINARY="+filepath.Join(r.dir, "bin", "rl"))
		if v := os.Getenv("RL_TEST_VERBOSE"); v != "" {
			p.Env = append(p.Env, "RL_TEST_VERBOSE="+v)
		}
		if r.debian != "" {
			p.Env = append(p.Env, "RL_TEST_DEBIAN_TAR="+r.debian)
		}
		if r.cover {
			p.Env = append(p.Env, "GOCOVERDIR="+filepath.Join(p.Home, "cover"))
		}
		if name == harness.UserWithSubids {
			if err := p.Delegate(); err != nil {
				return err
			}
		}
		r.users = append(r.users, p)
	}
	return nil
}

// tree is where the tests run: the checkout itself, or, for other users, a copy
// of it: root's may lie where they cannot walk.
func (r *runner) tree() error {
	r.src = r.top
	if !r.users[0].Other() {
		return nil
	}
	r.src = filepath.Join(r.dir, "src")
	return filepath.WalkDir(r.top, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(r.top, path)
		if err != nil {
			return err
		}
		to := filepath.Join(r.src, rel)
		switch {
		case rel == ".git" && d.IsDir():
			return filepath.SkipDir
		case rel == ".git", rel == "rl": // of a worktree it is a file
			return nil
		case d.IsDir():
			return os.Mkdir(to, 0o755)
		case d.Type().IsRegular():
			st, err := d.Info()
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(to, content, 0o644); err != nil {
				return err
			}
			return os.Chmod(to, st.Mode().Perm()|0o444)
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, to)
		}
		return nil
	})
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

// images makes those images that tests use, and that not every user can make.
func (r *runner) images() error {
	for _, image := range harness.Images {
		start := time.Now()
		_, err := harness.Layout(image)
		switch {
		case errors.Is(err, harness.ErrCannot) && !harness.Required():
			fmt.Printf("set-up: image %s: %v\n", image, err)
			continue
		case err != nil:
			return err
		case time.Since(start) > time.Second:
			fmt.Printf("set-up: made image %s in %.0f s\n", image, time.Since(start).Seconds())
		}
		if image == "debian" {
			if r.debian, err = harness.Layer(image); err != nil {
				return err
			}
		}
	}
	return nil
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

// failures is what the tests that failed said, and what no test said: a panic,
// a race, TestMain.
func failures(out string) string {
	bad := map[string]bool{"": true}
	for line := range strings.Lines(out) {
		if m := verdict.FindStringSubmatch(line); m != nil && m[1] == "FAIL" {
			bad[m[2]] = true
		}
	}
	var b strings.Builder
	current := ""
	for line := range strings.Lines(out) {
		clean := strings.TrimPrefix(line, "\x16")
		if m := verdict.FindStringSubmatch(line); m != nil {
			current = m[2]
			if bad[current] {
				b.WriteString(clean)
			}
			current = ""
			continue
		}
		if rest, ok := strings.CutPrefix(clean, "=== "); ok {
			if f := strings.Fields(rest); len(f) == 2 {
				current = f[1]
			}
			continue
		}
		if bad[current] || strings.HasPrefix(clean, "panic:") || strings.HasPrefix(clean, "goroutine ") {
			b.WriteString(clean)
		}
	}
	return b.String()
}

// read counts the verdicts in the output of a test and keeps the reasons of
// skips. Only leaves count: a test with subtests is its subtests.
func (r *runner) read(pkg, out string) string {
	lines := strings.Split(out, "\n")
	said := map[string][]string{} // what each test printed last
	current := ""
	type end struct{ how, name string }
	var ends []end
	parents := map[string]bool{}
	for _, line := range lines {
		if m := verdict.FindStringSubmatch(line); m != nil {
			ends = append(ends, end{m[1], m[2]})
			for up := m[2]; strings.Contains(up, "/"); {
				up = up[:strings.LastIndexByte(up, '/')]
				parents[up] = true
			}
			current = m[2]
			continue
		}
		clean := strings.TrimPrefix(line, "\x16")
		if name, ok := strings.CutPrefix(clean, "=== "); ok {
			if f := strings.Fields(name); len(f) == 2 {
				current = f[1]
			}
			continue
		}
		if t := strings.TrimSpace(clean); t != "" && strings.HasPrefix(clean, " ") {
			said[current] = append(said[current], t)
		}
	}
	skipped := 0
	for _, e := range ends {
		if parents[e.name] {
			if e.how != "SKIP" { // somebody else may have skipped the whole of it
				r.whole[pkg+"."+e.name] = true
			}
			continue
		}
		key := pkg + "." + e.name
		res := r.results[key]
		if res == nil {
			res = &result{}
			r.results[key] = res
		}
		switch e.how {
		case "PASS":
			res.passed++
		case "FAIL":
			res.failed++
		case "SKIP":
			skipped++
			res.reasons = append(res.reasons, reason(said[e.name]))
		}
	}
	if skipped > 0 {
		return fmt.Sprintf(" (%d skipped)", skipped)
	}
	return ""
}

var place = regexp.MustCompile(`^\S+\.go:\d+: `)

func reason(lines []string) string {
	for _, l := range slices.Backward(lines) {
		if l != "" {
			return place.ReplaceAllString(l, "")
		}
	}
	return "no reason given"
}

// report prints the reasons of all skips and the closing line.
func (r *runner) report() bool {
	allowed, err := allowedSkips(filepath.Join(r.top, ".ci", "skips"))
	if err != nil {
		fmt.Println(err)
		return false
	}
	var passed, failed, skipped int
	why := map[string][]string{}
	var wanted []string
	for name, res := range r.results {
		switch {
		case res.failed > 0:
			failed++
		case res.passed > 0:
			passed++
		case r.whole[name]:
		default:
			skipped++
			for _, reason := range slices.Compact(slices.Sorted(slices.Values(res.reasons))) {
				why[reason] = append(why[reason], name)
			}
			if harness.Required() && !slices.ContainsFunc(allowed, func(re *regexp.Regexp) bool { return re.MatchString(name) }) {
				wanted = append(wanted, name)
			}
		}
	}
	if len(why) > 0 {
		fmt.Println("\nskipped for everybody:")
		reasons := make([]string, 0, len(why))
		for reason := range why {
			reasons = append(reasons, reason)
		}
		slices.Sort(reasons)
		for _, reason := range reasons {
			names := why[reason]
			slices.Sort(names)
			fmt.Printf("  %s\n", reason)
			for _, n := range names[:min(len(names), 5)] {
				fmt.Printf("    %s\n", n)
			}
			if len(names) > 5 {
				fmt.Printf("    and %d more\n", len(names)-5)
			}
		}
	}
	if len(wanted) > 0 {
		slices.Sort(wanted)
		fmt.Printf("\nthis machine was set up to run these, but nobody did (see .ci/skips):\n  %s\n", strings.Join(wanted, "\n  "))
	}
	if len(r.failed) > 0 {
		fmt.Printf("\nfailed:\n  %s\n", strings.Join(r.failed, "\n  "))
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	return len(r.failed) == 0 && failed == 0 && len(wanted) == 0
}

// allowedSkips reads .ci/skips: a regular expression a line, after a comment
// that says why.
func allowedSkips(file string) ([]*regexp.Regexp, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []*regexp.Regexp
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		re, err := regexp.Compile("^" + line + "$")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		list = append(list, re)
	}
	return list, nil
}

// fuzzAll runs every fuzz target, one after the other, as the first user. What
// it finds is copied next to the package, to be committed.
func (r *runner) fuzzAll(pkgs []pkg) (bool, error) {
	ok, who := true, r.users[0]
	for _, p := range pkgs {
		if p.test == "" {
			ok = false
			continue
		}
		out, err := r.command(p, who, "-test.list=^Fuzz").Output()
		if err != nil {
			return false, fmt.Errorf("%s: %w", p.path, err)
		}
		for target := range strings.FieldsSeq(string(out)) {
			if !strings.HasPrefix(target, "Fuzz") || !matches(r.run, target) {
				continue
			}
			corpus := filepath.Join(who.Home, "tmp", p.path)
			if err := os.MkdirAll(corpus, 0o777); err != nil {
				return false, err
			}
			cmd := r.command(p, who, "-test.run=^$", "-test.fuzz=^"+target+"$", "-test.fuzztime="+r.fuzz.String(),
				"-test.fuzzcachedir="+filepath.Join(who.Home, "tmp", "corpus"), "-test.parallel="+strconv.Itoa(runtime.NumCPU()))
			fmt.Printf("%s %s\n", p.path, target)
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
			if r.users[0].Other() {
				// It writes what it finds below its working directory.
				found := filepath.Join(cmd.Dir, "testdata", "fuzz", target)
				if err := os.MkdirAll(found, 0o777); err != nil {
					return false, err
				}
				for dir := found; dir != cmd.Dir; dir = filepath.Dir(dir) {
					if err := os.Chmod(dir, 0o777); err != nil {
						return false, err
					}
				}
			}
			if err := cmd.Run(); err != nil {
				ok = false
				if err := r.keep(p, target); err != nil {
					return false, err
				}
			}
		}
	}
	return ok, nil
}

func matches(re, name string) bool {
	ok, err := regexp.MatchString(re, name)
	return re == "" || err == nil && ok
}

// keep copies failing inputs from the copied tree to the checkout.
func (r *runner) keep(p pkg, target string) error {
	if r.src == r.top {
		return nil
	}
	from := filepath.Join(r.src, p.dir, "testdata", "fuzz", target)
	to := filepath.Join(r.top, p.dir, "testdata", "fuzz", target)
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		in, err := os.Open(filepath.Join(from, e.Name()))
		if err != nil {
			return err
		}
		out, err := os.Create(filepath.Join(to, e.Name()))
		if err == nil {
			_, err = io.Copy(out, in)
			err = errors.Join(err, out.Close())
		}
		if err = errors.Join(err, in.Close()); err != nil {
			return err
		}
	}
	return nil
}

// coverage adds up what tests and rl itself reached, package by package.
func (r *runner) coverage() error {
	var dirs []string
	for _, u := range r.users {
		dirs = append(dirs, filepath.Join(u.Home, "cover"))
	}
	cmd := exec.Command("go", "tool", "covdata", "percent", "-i="+strings.Join(dirs, ","))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
