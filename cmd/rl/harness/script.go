package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"sync/atomic"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/rogpeppe/go-internal/testscript"

	"rl/cmd/rl/harness/netlab"
	"rl/cmd/rl/harness/peer"
	"rl/oci/registry/badregistry"
	"rl/userns/probe"
)

// patience is how long one command of a script may take. It ends what hangs;
// it measures nothing.
const patience = 240 * time.Second

var counter atomic.Int64

// Scripts runs every script of a directory once on each rung of the identity
// ladder that this user can stand on: TestName/subids/script and
// TestName/single/script.
//
// A script has a home, an $XDG_RUNTIME_DIR and an $RL_ROOT of its own, empty at
// the beginning, and these commands besides testscript's own:
//
//	rl ARGS…               run rl; `! rl` expects any failure
//	exits N CMD…           run a command that must exit with status N
//	image NAME…            push busybox, debian or layers200; $NAME is its reference
//	mkimage NAME SETTING…  make an image and push it, see [Craft]; $NAME is its reference
//	mkindex NAME A=IMAGE…  an index: architecture=NAME of an earlier mkimage
//	save KIND NAME FILE    an earlier image as oci: oci-archive: or docker-archive:
//	flaky NAME MODE…       a registry with all images made before, as $NAME/IMAGE:latest,
//	                       that fails on purpose, see [Flaky]
//	asked NAME             print what that registry was asked, and forget it
//	pty N DIALOG CMD…      run a command on a terminal and talk, see [converse]; it exits with N
//	waitfor FILE           until a file exists (a container saying "I am up")
//	kill9 front|monitor|init   kill a process of the container in the background
//	sig NAME front|monitor|init   send it another signal
//	lines stdout|stderr N  that many lines
//	netlab …               two hosts of namespaces, where rl runs from then on, see [cmdNetlab]
//	snapshot / unchanged   the store before and after a command that fails
//	noleft                 no process, mount, container, temporary file or socket of rl is left
//
// Conditions: [subids] and [single] are the rung, [real] that the registry is
// Debian's, [shared] that the host's root is a shared mount, as systemd makes it,
// [cgroup] that the tests run in a cgroup v2 that is their user's.
func Scripts(t *testing.T, dir string) {
	if os.Getuid() == 0 {
		t.Skip("containers are tested as ordinary users: run `make test`, which as root uses rlsub and rlone")
	}
	binary, err := Binary()
	if err != nil {
		t.Fatal(err)
	}
	bin, err := link(binary)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := Shared()
	if err != nil {
		t.Fatal(err)
	}
	if !HasSubids() {
		t.Run("subids", func(t *testing.T) {
			t.Skip("this user has no subordinate ids in /etc/subuid and /etc/subgid, or newuidmap is missing")
		})
	}
	for _, rung := range Rungs() {
		t.Run(rung, func(t *testing.T) {
			p := params(dir, bin, rung, reg)
			p.Deadline, _ = t.Deadline()
			testscript.RunT(quiet{t}, p)
		})
	}
}

// quiet is a T that does not take -v, which the test runner always gives, for
// the wish to see every step of every script. RL_TEST_VERBOSE=1 is that wish.
type quiet struct{ *testing.T }

func (q quiet) Verbose() bool { return os.Getenv("RL_TEST_VERBOSE") != "" }
func (q quiet) Run(name string, f func(testscript.T)) {
	q.T.Run(name, func(t *testing.T) { f(quiet{t}) })
}

// link makes a directory for PATH that holds rl, and peer for both ends of a
// connection.
func link(binary string) (string, error) {
	dir, err := Scratch()
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "path")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	for name, to := range map[string]string{"rl": binary, peer.Name: self} {
		if err := os.Symlink(to, filepath.Join(bin, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return "", err
		}
	}
	return bin, nil
}

// A script remembers what its commands made.
type script struct {
	t        testscript.T
	reg      *Registry
	repo     string // its own corner of the registry
	images   map[string]v1.Image
	flaky    map[string]*badregistry.Registry
	lab      *netlab.Lab
	snapshot []string
}

type scriptKey struct{}

func of(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

func params(dir, bin, rung string, reg *Registry) testscript.Params {
	return testscript.Params{
		Dir:                dir,
		RequireUniqueNames: true,
		ContinueOnError:    os.Getenv("RL_TEST_VERBOSE") != "",
		Setup: func(e *testscript.Env) error {
			s := &script{t: e.T(), reg: reg, repo: fmt.Sprintf("script%d", counter.Add(1)),
				images: map[string]v1.Image{}, flaky: map[string]*badregistry.Registry{}}
			e.Values[scriptKey{}] = s
			home, run := filepath.Join(e.WorkDir, "home"), filepath.Join(e.WorkDir, "run")
			for _, d := range []string{home, run} {
				if err := os.Mkdir(d, 0o700); err != nil {
					return err
				}
			}
			e.Setenv("PATH", bin+":/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
			e.Setenv("HOME", home)
			e.Setenv("XDG_RUNTIME_DIR", run)
			e.Setenv("RL_ROOT", filepath.Join(home, "rl"))
			e.Setenv("RUNG", rung)
			if self, err := os.Executable(); err == nil {
				e.Setenv("PEER", self)
			}
			e.Setenv("GOARCH", runtime.GOARCH)
			e.Setenv("REGISTRY", reg.Host)
			if rung == "single" {
				e.Setenv("RL_USERNS", "single")
			}
			for _, k := range []string{"GOCOVERDIR"} {
				if v := os.Getenv(k); v != "" {
					e.Setenv(k, v)
				}
			}
			work := e.WorkDir
			// `wait` would wait for ever for a container that does not end.
			watchdog := time.AfterFunc(2*patience, func() { reap(work) })
			e.Defer(func() {
				watchdog.Stop()
				for _, f := range s.flaky {
					f.Close()
				}
				reap(work)
				if s.lab != nil {
					s.lab.Close()
				}
				// What testscript cannot delete: files of subordinate ids.
				for _, sub := range []string{"home", "run"} {
					RemoveTree(filepath.Join(work, sub))
				}
			})
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "subids", "single":
				return cond == rung, nil
			case "real":
				return reg.Real, nil
			case "shared":
				return sharedMount(), nil
			case "cgroup":
				c, err := probe.Cgroup(probe.Quick(), string(probe.CgroupDelegated))
				return err == nil && c.Rung == probe.CgroupDelegated, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"rl":        cmdRL,
			"exits":     cmdExits,
			"image":     cmdImage,
			"mkimage":   cmdMkimage,
			"mkindex":   cmdMkindex,
			"save":      cmdSave,
			"flaky":     cmdFlaky,
			"asked":     cmdAsked,
			"pty":       cmdPty,
			"waitfor":   cmdWaitfor,
			"kill9":     func(ts *testscript.TestScript, neg bool, a []string) { cmdSig(ts, neg, append([]string{"KILL"}, a...)) },
			"sig":       cmdSig,
			"lines":     Lines,
			"netlab":    cmdNetlab,
			"snapshot":  cmdSnapshot,
			"unchanged": cmdUnchanged,
			"noleft":    cmdNoleft,
		},
	}
}

func sharedMount() bool {
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(raw)) {
		if f := strings.Fields(line); len(f) > 6 && f[4] == "/" {
			return strings.HasPrefix(f[6], "shared:")
		}
	}
	return false
}

// run runs a command to its end, with stdin, stdout and stderr of the script.
func run(ts *testscript.TestScript, args []string) int {
	work := ts.Getenv("WORK")
	// Somebody who keeps our pipes open would keep us waiting for ever.
	watchdog := time.AfterFunc(patience, func() { reap(work) })
	err := ts.Exec(args[0], args[1:]...)
	if !watchdog.Stop() {
		ts.Fatalf("%s did not end in %v", strings.Join(args, " "), patience)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exitStatus(exit.ProcessState)
	}
	ts.Fatalf("%s: %v", args[0], err)
	return -1
}

func cmdRL(ts *testscript.TestScript, neg bool, args []string) {
	code := run(ts, append([]string{"rl"}, args...))
	if neg != (code != 0) {
		ts.Fatalf("rl exited with status %d", code)
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS CMD…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if code := run(ts, args[1:]); code != want {
		ts.Fatalf("exit status %d, not %d", code, want)
	}
}

func cmdImage(ts *testscript.TestScript, neg bool, args []string) {
	for _, image := range args {
		ref, err := Pushed(image)
		if errors.Is(err, ErrCannot) && !Required() {
			of(ts).t.Skip(err.Error())
		}
		ts.Check(err)
		dir, err := Layout(image)
		ts.Check(err)
		img, err := ReadLayout(dir)
		ts.Check(err)
		of(ts).images[image] = img
		ts.Setenv(image, ref)
	}
}

func cmdMkimage(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: mkimage NAME SETTING…")
	}
	img, err := Craft(ts.Getenv("WORK"), args[1:])
	ts.Check(err)
	publish(ts, args[0], img)
	of(ts).images[args[0]] = img
}

func publish(ts *testscript.TestScript, name string, what any) {
	s := of(ts)
	ref := s.reg.Host + "/" + s.repo + "/" + name + ":latest"
	ts.Check(Push(ref, what))
	ts.Setenv(name, ref)
	ts.Setenv(name+"_path", s.repo+"/"+name+":latest")
}

func cmdMkindex(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: mkindex NAME ARCH=IMAGE…")
	}
	images := map[string]v1.Image{}
	for _, a := range args[1:] {
		arch, name, _ := strings.Cut(a, "=")
		img, ok := of(ts).images[name]
		if !ok {
			ts.Fatalf("no image %q was made before", name)
		}
		images[arch] = img
	}
	publish(ts, args[0], Index(images))
}

func cmdSave(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: save oci|oci-archive|docker-archive IMAGE FILE")
	}
	img, ok := of(ts).images[args[1]]
	if !ok {
		ts.Fatalf("no image %q was made before", args[1])
	}
	file := ts.MkAbs(args[2])
	switch args[0] {
	case "oci":
		ts.Check(WriteLayout(file, "latest", img))
	case "oci-archive":
		ts.Check(WriteLayout(file+".d", "latest", img))
		ts.Check(exec.Command("tar", "-C", file+".d", "-cf", file, ".").Run())
	case "docker-archive":
		ts.Check(DockerArchive(file, "example/"+args[1]+":latest", img))
	default:
		ts.Fatalf("unknown kind of archive %q", args[0])
	}
}

func cmdFlaky(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: flaky NAME MODE…")
	}
	s := of(ts)
	reg, host, err := Flaky(args[1:], s.images)
	ts.Check(err)
	s.flaky[args[0]] = reg
	ts.Setenv(args[0], host)
}

func cmdAsked(ts *testscript.TestScript, neg bool, args []string) {
	f, ok := of(ts).flaky[args[0]]
	if !ok {
		ts.Fatalf("no flaky registry %q", args[0])
	}
	out := ts.Stdout() // also when nothing is written: what was there before goes
	for _, r := range f.Requests() {
		fmt.Fprintln(out, r.Status, r.Method, r.Path, r.Range)
	}
	f.Forget()
}

func cmdPty(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: pty STATUS DIALOG CMD…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	dialog := ts.ReadFile(args[1])
	// What the script's environment is, only a program of the script can tell.
	ts.Check(ts.Exec("sh", "-c", "env -0 > .env"))
	env := strings.Split(strings.TrimSuffix(ts.ReadFile(".env"), "\x00"), "\x00")
	cmd := exec.Command("env", args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(env, "TERM=xterm")
	output, status, err := converse(cmd, dialog)
	fmt.Fprint(ts.Stdout(), output)
	if err != nil {
		ts.Fatalf("%v\n[terminal]\n%s", err, output)
	}
	if status != want {
		ts.Fatalf("exit status %d, not %d\n[terminal]\n%s", status, want, output)
	}
}

func cmdWaitfor(ts *testscript.TestScript, neg bool, args []string) {
	for _, a := range args {
		file := ts.MkAbs(a)
		for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Lstat(file); err == nil {
				break
			}
			if time.Now().After(deadline) {
				ts.Fatalf("%s does not come", a)
			}
		}
	}
}

func cmdSig(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: sig NAME front|monitor|init")
	}
	sig, ok := signals[args[0]]
	if !ok {
		ts.Fatalf("unknown signal %q", args[0])
	}
	bg := ts.BackgroundCmds()
	if len(bg) == 0 {
		ts.Fatalf("nothing runs in the background")
	}
	pid, err := member(bg[len(bg)-1].Process.Pid, args[1])
	ts.Check(err)
	ts.Check(syscall.Kill(pid, sig))
}

// Lines is a command of scripts: `lines stdout|stderr N`.
func Lines(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: lines stdout|stderr N")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := ts.ReadFile(args[0])
	n := strings.Count(text, "\n")
	if text != "" && !strings.HasSuffix(text, "\n") {
		n++
	}
	if (n == want) == neg {
		ts.Fatalf("%s has %d lines", args[0], n)
	}
}

// store lists everything in $RL_ROOT that a failed command must not change:
// names, sizes and what they say, without locks and times.
func store(ts *testscript.TestScript) []string {
	root := ts.Getenv("RL_ROOT")
	var list []string
	filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		rel, _ := filepath.Rel(root, path)
		if err != nil || strings.Contains(rel, "lock") {
			return nil
		}
		line := rel
		if d.Type().IsRegular() {
			if st, err := d.Info(); err == nil {
				line += fmt.Sprintf(" %d bytes", st.Size())
			}
		}
		list = append(list, line)
		return nil
	})
	return list
}

func cmdSnapshot(ts *testscript.TestScript, neg bool, args []string) { of(ts).snapshot = store(ts) }

func cmdUnchanged(ts *testscript.TestScript, neg bool, args []string) {
	before, now := of(ts).snapshot, store(ts)
	for _, line := range now {
		if !slices.Contains(before, line) {
			ts.Fatalf("the store has got %s", line)
		}
	}
	for _, line := range before {
		if !slices.Contains(now, line) {
			ts.Fatalf("the store has lost %s", line)
		}
	}
}

func cmdNoleft(ts *testscript.TestScript, neg bool, args []string) {
	left := settle(ts.Getenv("WORK"), ts.Getenv("RL_ROOT"), ts.Getenv("XDG_RUNTIME_DIR"), 3*time.Second)
	if len(left) > 0 {
		ts.Fatalf("left behind:\n  %s", strings.Join(left, "\n  "))
	}
}
