package hook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rl/run/inside/program"
)

func TestRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	sh := func(script string, timeout uint32) *program.Hook {
		return &program.Hook{Path: "/bin/sh", Args: []string{"hook", "-c", script}, Env: []string{"OUT=" + out, "PATH=/usr/bin:/bin"}, Timeout: timeout}
	}
	state := State(`{"id":"x",`, "creating", 42)
	for _, c := range []struct {
		name string
		hook *program.Hook
		stop bool
		want string
	}{
		{"good", sh(`cat >$OUT; echo $0 $HOME >>$OUT`, 0), false, ""},
		{"fails", sh("echo what; echo why >&2; exit 3", 0), false, "exit status 3: what\nwhy"},
		{"says nothing", sh("exit 1", 0), false, "exit status 1"},
		{"killed", sh("kill -9 $$", 0), false, "killed by signal 9"},
		{"hangs", sh("sleep 100 & sleep 100", 1), false, "it did not end in 1 s"},
		{"stopped", sh("sleep 100", 0), true, "the start was interrupted"},
		{"writes much", sh("head -c 3000000 /dev/zero; exit 4", 0), false, "exit status 4: " + strings.Repeat("\x00", kept)},
		{"missing", &program.Hook{Path: "/no/such/hook"}, false, "no such file or directory"},
		{"leaves a child", sh("sleep 5 & exit 5", 0), false, "exit status 5"},
	} {
		begin := time.Now()
		if got := Run(c.hook, state, func() bool { return c.stop }); got != c.want {
			t.Errorf("%s: %.80q (%d bytes) after %v, want %.80q", c.name, got, len(got), time.Since(begin), c.want)
		}
	}
	if got, err := os.ReadFile(out); err != nil || string(got) != `{"id":"x","status":"creating","pid":42}hook`+"\n" && string(got) != `{"id":"x","status":"creating","pid":42}hook `+"\n" {
		t.Errorf("the hook read %q, %v", got, err)
	}
	if why := Run(sh("true", 0), make([]byte, 1<<20), nil); !strings.Contains(why, "does not fit") {
		t.Errorf("a large state: %q", why)
	}
}

func TestItoa(t *testing.T) {
	for n, want := range map[int]string{0: "0", 9: "9", 10: "10", -12: "-12", 4194304: "4194304"} {
		if got := itoa(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
