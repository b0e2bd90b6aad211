// Package harness is what the tests of the whole program stand on: real images,
// a real registry and the commands that the scripts in testdata/script speak.
//
//	Main        the binary under test, the caches, the end of everything started
//	registry.go Debian's docker-registry on a loopback port, in a throw-away directory
//	images.go   images made once and kept in a cache outside of the repository
//	craft.go    images made for one script (mkimage), good ones and malicious ones
//	flaky.go    a registry that fails on purpose, by the words of a script
//	script.go   the engine and its commands
//	leak.go     who of rl is still alive, mounted or on disk
//	pty.go      a terminal that types
//	netlab/     two hosts and a network of namespaces, for a script (netlab.go)
//	vm/         a whole machine for scripts that want systemd, limits or a reboot
//	peer/       small servers and clients for both, and for containers
//
// The binary under test is $RL_TEST_BINARY, or is built when that is not set.
// Tests of containers mean nothing when root runs them: use `make test`, which
// compiles the tests and runs them as ordinary users.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The users that `.ci/setup` makes: one with subordinate ids, one without.
const (
	UserWithSubids    = "rlsub"
	UserWithoutSubids = "rlone"
)

var scratch struct {
	sync.Mutex
	dir    string
	undo   []func()
	binary string
}

// Main runs the tests of a package and then ends what they started. Call it
// from TestMain; it returns the exit status.
func Main(m *testing.M) int {
	if status, played := role(); played {
		return status
	}
	defer func() {
		scratch.Lock()
		defer scratch.Unlock()
		for i := len(scratch.undo) - 1; i >= 0; i-- {
			scratch.undo[i]()
		}
	}()
	return m.Run()
}

// atEnd has f called after the last test.
func atEnd(f func()) {
	scratch.Lock()
	defer scratch.Unlock()
	scratch.undo = append(scratch.undo, f)
}

// Scratch is a directory for this test process, gone at its end.
func Scratch() (string, error) {
	scratch.Lock()
	defer scratch.Unlock()
	if scratch.dir == "" {
		dir, err := os.MkdirTemp("", "rl-harness-")
		if err != nil {
			return "", err
		}
		scratch.dir = dir
		scratch.undo = append(scratch.undo, func() { RemoveTree(dir) })
	}
	return scratch.dir, nil
}

// Binary is the path of the rl under test.
func Binary() (string, error) {
	if path := os.Getenv("RL_TEST_BINARY"); path != "" {
		return path, nil
	}
	dir, err := Scratch()
	if err != nil {
		return "", err
	}
	scratch.Lock()
	defer scratch.Unlock()
	if scratch.binary != "" {
		return scratch.binary, nil
	}
	// Under the name that is typed: what a message calls itself is tested too.
	path := filepath.Join(dir, "bin", "rl")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "rl/cmd/rl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build rl/cmd/rl: %w\n%s", err, out)
	}
	scratch.binary = path
	return path, nil
}

// Required says that the machine was set up for the tests: what is missing is
// a failure then, not a reason to skip.
func Required() bool { return os.Getenv("RL_TEST_REQUIRE") != "" }

// TB is what Need wants of a testing.T.
type TB interface {
	Helper()
	Skipf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Need skips the test when a program is missing, and fails it where the
// machine was set up to have everything (RL_TEST_REQUIRE=1).
func Need(t TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if Required() {
			t.Fatalf("needs %s, which `make test-set-up` installs as root", p)
		}
		t.Skipf("needs %s; `make test-set-up` as root installs it", p)
	}
}

// HasSubids reports whether this user can map subordinate ids: a range in both
// files, and the two setuid helpers.
func HasSubids() bool {
	for _, p := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(p); err != nil {
			return false
		}
	}
	me, err := user.Current()
	if err != nil {
		return false
	}
	return hasRange("/etc/subuid", me) && hasRange("/etc/subgid", me)
}

func hasRange(file string, u *user.User) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, ":")
		if name == u.Username || name == u.Uid {
			return true
		}
	}
	return false
}

// Rungs are the rungs of the identity ladder this user can stand on, best first.
func Rungs() []string {
	if HasSubids() {
		return []string{"subids", "single"}
	}
	return []string{"single"}
}

// RemoveTree deletes a tree that may hold files of subordinate ids: from inside
// a user namespace made by util-linux, so that the tests do not lean on rl's own
// deletion, which they test.
func RemoveTree(dir string) error {
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			os.Chmod(path, 0o700)
		}
		return nil
	})
	err := os.RemoveAll(dir)
	if err == nil || !HasSubids() {
		return err
	}
	cmd := exec.Command("unshare", "--user", "--map-auto", "--map-root-user", "--", "rm", "-rf", "--", dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
