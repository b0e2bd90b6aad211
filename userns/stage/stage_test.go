package stage

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// child marks the processes that the tests start: one that is no stage must not
// go on to run the tests.
const child = "STAGE_TEST_CHILD=1"

func TestMain(m *testing.M) {
	Dispatch(map[string]func() int{"echo": func() int {
		os.Stdout.WriteString(strings.Join(os.Args, " "))
		return 3
	}})
	if os.Getenv("STAGE_TEST_CHILD") != "" {
		os.Stdout.WriteString("no stage")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func run(env, argv []string) (string, int) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args, cmd.Env = argv, append(env, child)
	out, _ := cmd.CombinedOutput() // the status is looked at below
	return string(out), cmd.ProcessState.ExitCode()
}

func TestDispatch(t *testing.T) {
	out, code := run(Env("echo", "A=1"), Argv("echo", "x"))
	if out != "rl __echo x" || code != 3 {
		t.Errorf("%q, %d", out, code)
	}
	out, code = run(Env("none"), Argv("none"))
	if !strings.Contains(out, "unknown stage none") || code != 125 {
		t.Errorf("an unknown stage: %q, %d", out, code)
	}
}

// Neither the variable alone nor the argument alone makes a stage: somebody may
// type the one, or have inherited the other.
func TestNoStage(t *testing.T) {
	for _, c := range []struct{ env, argv []string }{
		{[]string{"HOME=/"}, []string{"rl", "__echo"}},
		{Env("echo"), []string{"rl", "run"}},
		{[]string{"A=1", Variable + "=echo"}, []string{"rl", "__echo"}},
	} {
		if out, code := run(c.env, c.argv); out != "no stage" || code != 0 {
			t.Errorf("%q %q: %q, %d", c.env, c.argv, out, code)
		}
	}
}
