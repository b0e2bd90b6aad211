package overlay

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"rl/fuse"
	"rl/fuse/fstest"
)

// serveVar has a test binary serve a mount instead: a process must not touch what
// it serves, and these tests map memory and execute programs.
const serveVar = "RL_OVERLAY_SERVE"

type job struct {
	Options
	Target string
	Whites whiteKind // and so on: the tuning of Options, which is not written
	Dirfds int
	Copied bool
	Files  uint64 // the server's limit of open files, or 0
}

func TestMain(m *testing.M) {
	if text := os.Getenv(serveVar); text != "" {
		if err := serveJob(text); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	fstest.Main(m)
}

func serveJob(text string) error {
	var j job
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	j.tuning = tuning{j.Whites, j.Dirfds, j.Copied}
	if j.Files > 0 {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: j.Files, Max: j.Files}); err != nil {
			return err
		}
	}
	f, err := New(j.Options)
	if err != nil {
		return err
	}
	c, err := fuse.Mount(j.Target, fuse.Options{ReadOnly: j.ReadOnly, Flags: f.Flags()}, f)
	if err != nil {
		return err
	}
	go func() { // the test is gone
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	fmt.Println("mounted")
	c.Wait()
	if os.Getenv("RL_OVERLAY_COUNTS") != "" {
		fmt.Fprintln(os.Stderr, c.Counts())
	}
	return f.Close()
}

// start serves an overlay in a process of its own; stop unmounts it.
func start(t testing.TB, j job) (stop func()) {
	t.Helper()
	_, stop = serve(t, j)
	return stop
}

// serve is the same for those who want the server itself.
func serve(t testing.TB, j job) (cmd *exec.Cmd, stop func()) {
	t.Helper()
	j.Whites, j.Dirfds, j.Copied = j.tuning.whites, j.tuning.dirfds, j.tuning.noClone
	text, err := json.Marshal(j)
	must(t, err)
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), serveVar+"="+string(text))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "mounted\n" {
		t.Fatalf("serving: %q, %v", line, errors.Join(err, cmd.Wait()))
	}
	return cmd, func() {
		// A child of another test may still have a descriptor, between fork and exec.
		if err := unix.Unmount(j.Target, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server: %v", err)
		}
		_ = in.Close()
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var serial sync.Mutex

// mounter gives the overlay to the suite.
func mounter(change func(o *Options)) fstest.Mount {
	return func(t testing.TB, d fstest.Dirs) (string, func()) {
		// A fork for one case gives its child what another has open, for a moment: locks
		// would outlive their file. So one case at a time.
		serial.Lock()
		t.Cleanup(serial.Unlock)
		j := job{Target: d.Target, Options: Options{Lowers: d.Lowers, Upper: d.Upper, Work: d.Work, ReadOnly: d.ReadOnly}}
		if change != nil {
			change(&j.Options)
		}
		stop := start(t, j)
		t.Cleanup(func() { stop() })
		return d.Target, func() {
			stop()
			stop = start(t, j)
		}
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	fstest.Run(t, mounter(nil), fstest.Options{Base: fstest.DiskDir(t)})
}

// What other kernels and filesystems do is forced.
func TestSuiteForced(t *testing.T) {
	for _, c := range []struct {
		name   string
		tuning tuning
		except map[string]string
	}{
		{"xattr whiteouts, few descriptors", tuning{whites: whiteXattr, dirfds: 1, noClone: true}, nil},
		{"dot whiteouts", tuning{whites: whiteDot}, map[string]string{
			"name/odd ones copied up":              "a name that begins with .wh. is a whiteout's",
			"name/odd ones deleted and made again": "a name that begins with .wh. is a whiteout's",
			"name/255 bytes":                       "there is no room for .wh. before it",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.tuning.whites == whiteDot && fstest.SingleID(t) {
				t.Skip("whiteouts of this kind have nothing to do with ids")
			}
			fstest.Run(t, mounter(func(o *Options) { o.tuning = c.tuning }), fstest.Options{Base: fstest.TmpfsDir(t), Except: c.except})
		})
	}
}
