package probe

import (
	"errors"
	"os"
	"os/user"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// These tests look at the machine they run on. They are run as root, as a
// user with subordinate ids and as one without.

// The choice must agree with what the machine really lets this user do.
func TestRealIdentity(t *testing.T) {
	f := here()
	c, err := Identity(f, "")
	must(t, err)
	t.Logf("%+v", c)
	u, err := user.Current()
	must(t, err)
	if f.User() != u.Username {
		t.Errorf("the user is %q, not %q", f.User(), u.Username)
	}
	proof := f.Check("subids")
	if (c.Rung == Subordinate) != (proof.Status == StatusOK) {
		t.Errorf("chosen %s, but the trial said %+v", c.Rung, proof)
	}
	b, _ := os.ReadFile("/etc/subuid")
	given := strings.Contains("\n"+string(b), "\n"+u.Username+":")
	want := Single
	switch {
	case os.Geteuid() == 0:
		want = Straight
	case given:
		want = Subordinate
	}
	if f.Initial() && c.Rung != want {
		t.Errorf("%s for %s (root: %v, given ids: %v)", c.Rung, u.Username, os.Geteuid() == 0, given)
	}
}

func TestRealDoctor(t *testing.T) {
	r := Doctor(here(), Pins{})
	for _, c := range r.Checks {
		t.Logf("%-13s %-6s %s | %s | %s", c.Name, c.Status, c.Fact, c.Reason, c.Remedy)
	}
	for _, c := range r.Choices {
		t.Logf("%-10s %s (%s) %s %+v", c.Ladder, c.Rung, c.Reason, c.Path, c.Missed)
	}
	if !r.Healthy() {
		t.Error("a machine that runs these tests can run containers")
	}
}

// Nothing of a trial is left in the store's directory.
func TestTrialsCleanUp(t *testing.T) {
	root := t.TempDir()
	f := New(Host{Exe: "/proc/self/exe", Getenv: func(k string) string {
		if k == "RL_ROOT" {
			return root
		}
		return os.Getenv(k)
	}})
	for _, name := range []string{"overlay", "store"} {
		if c := f.Check(name); c.Status != StatusOK {
			t.Errorf("%+v", c)
		}
	}
	left, err := os.ReadDir(root)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// The trials fail where they must: each is made once in a place where the
// kernel refuses.
func TestTrialsCanFail(t *testing.T) {
	f := here()
	for _, c := range []struct {
		trial Trial
		step  string
		err   error
	}{
		{Trial{Name: "overlay", Args: []string{"/nonexistent"}, Map: true, Flags: inside}, "mount overlay", unix.ENOENT},
		{Trial{Name: "fuse", Args: []string{"/nonexistent"}, Map: true, Flags: inside}, "open", unix.ENOENT},
		{Trial{Name: "proc", Map: true, Flags: inside}, "mount proc", unix.EPERM}, // not in a new pid namespace
		{Trial{Name: "ids", Map: true, Flags: unix.CLONE_NEWUSER}, "setgroups", unix.EPERM},
		{Trial{Name: "no such trial"}, "probe", unix.ENOSYS},
		{Trial{Name: "true", Flags: unix.CLONE_NEWUSER | unix.CLONE_FS}, "start", unix.EINVAL},
	} {
		o := f.h.Try(c.trial)
		if o.Step != c.step || !errors.Is(o.Err, c.err) {
			t.Errorf("%+v: %+v; want %s, %v", c.trial, o, c.step, c.err)
		}
	}
}

// A program that does not dispatch the stage must never be executed again
// and again: a test binary would run all its tests.
func TestNoStage(t *testing.T) {
	o := Quick().h.Try(Trial{Name: "true"})
	if !errors.Is(o.Err, errNoStage) {
		t.Errorf("%+v", o)
	}
}

// The work of every run: the identity, the store and the runtime directory.
func BenchmarkWarm(b *testing.B) {
	for b.Loop() {
		f := Quick()
		for _, climb := range []func() (Choice, error){
			func() (Choice, error) { return Identity(f, "") },
			func() (Choice, error) { return Store(f) },
			func() (Choice, error) { return Runtime(f) },
		} {
			if _, err := climb(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
