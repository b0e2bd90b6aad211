package probe

import (
	"os"
	"testing"
)

// TestMain lets the test binary be the throw-away child of its own trials.
func TestMain(m *testing.M) {
	if os.Getenv(stageEnv) == "probe" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// here is this machine, with trials.
func here() *Facts { return New(Host{Exe: "/proc/self/exe"}) }

func TestSmoke(t *testing.T) {
	f := here()
	for _, l := range []func(*Facts, string) (Choice, error){Identity, Network, Proc, Rootfs} {
		c, err := l(f, "")
		t.Logf("%+v %v", c, err)
	}
	c, err := Store(f)
	t.Logf("%+v %v", c, err)
	c, err = Runtime(f)
	t.Logf("%+v %v", c, err)
	t.Log(f.usernsOutcome())
}
func BenchmarkHot(b *testing.B) {
	for b.Loop() {
		f := here()
		Identity(f, "")
		Store(f)
		Runtime(f)
	}
}
