// Package vm tests rl where only a whole machine will do: a Debian 12 that systemd
// booted with cgroup v2, where an ordinary user logs in and where limits are the
// kernel's own. The machine is emulated where it cannot be virtualised, has no
// network, and is booted once for all scripts.
//
//	script.go   the words of the scripts in testdata/vm
//	machine.go  the machine: boot, reboot, crash
//	image.go    its disks: Debian, made by image.sh once, and what is under test
//	wire.go     what the test and its agent in the machine say to each other
//	agent.go    the agent: the test binary itself, under another name
//	left.go     what of rl is still there
package vm

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"rl/cmd/rl/harness"
)

// patience is how many seconds one command of a script may take. It ends what
// hangs; it measures nothing.
const patience = 120

// Scripts runs every script of a directory, one after the other, in one machine.
// They have these commands besides testscript's own; where they say "session",
// it is the one that began last:
//
//	login USER               by PAM, as at a console: logind has a session, the user a manager
//	bare USER                by ids only, as cron without PAM: no session, no manager, no bus
//	service USER PROPERTY…   a system service with User= and systemd's properties
//	logout                   end the session
//	rl ARGS… / ! rl          run rl in the session
//	sh SCRIPT / ! sh         run a shell there
//	root SCRIPT / ! root     run a shell as root, outside of any session
//	exits N rl|sh|root …     with that exit status
//	until SCRIPT             have the session's shell try until it succeeds
//	reboot                   as an administrator does; all sessions end
//	crash                    as by a power cut
//	lines stdout|stderr N    that many lines
//	noleft                   no process, cgroup, container, file or socket of rl is there
//
// rlsub has subordinate ids, rlone has none. The image "busybox" is in their stores.
func Scripts(t *testing.T, dir string) {
	switch {
	case os.Getenv("RL_TEST_VM") == "":
		t.Skip("boots a machine: run `make test-vm` as root")
	case os.Getuid() != 0:
		t.Skip("the machine's disk is made by root: run `make test-vm` as root")
	}
	harness.Need(t, "qemu-system-x86_64", "mmdebstrap", "busybox", "mkfs.ext4")
	scratch, err := os.MkdirTemp("/var/tmp", "rl-vm-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(scratch) })
	start := time.Now()
	m, err := Boot(scratch)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, user := range users {
		pull := "rl pull -q docker-archive:/test/busybox.tar"
		if r, err := m.do(request{Argv: []string{"su", "-l", user, "-c", pull}, Seconds: patience}); err != nil || r.Status != 0 {
			t.Fatalf("%s: %v, status %d: %s", pull, err, r.Status, r.Stderr)
		}
	}
	t.Logf("the machine was up after %.0f s", time.Since(start).Seconds())
	testscript.RunT(inTurn{t}, testscript.Params{
		Dir:                dir,
		RequireUniqueNames: true,
		ContinueOnError:    os.Getenv("RL_TEST_VERBOSE") != "",
		Setup: func(e *testscript.Env) error {
			s := &script{m: m}
			e.Values[scriptKey{}] = s
			e.Defer(func() {
				if err := s.tidy(); err != nil {
					e.T().Log(err)
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"login":   cmdLogin(pam),
			"bare":    cmdLogin(bare),
			"service": cmdLogin(service),
			"logout":  cmdLogout,
			"rl":      cmdRun("rl"),
			"sh":      cmdRun("sh"),
			"root":    cmdRun("root"),
			"exits":   cmdExits,
			"until":   cmdUntil,
			"reboot":  func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(of(ts).restarted(m.Reboot())) },
			"crash":   func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(of(ts).restarted(m.Crash())) },
			"lines":   harness.Lines,
			"noleft":  cmdNoleft,
		},
	})
}

var users = []string{harness.UserWithSubids, harness.UserWithoutSubids}

// inTurn is a T whose tests do not run side by side: there is one machine. It
// prints every step only when asked, see package harness.
type inTurn struct{ *testing.T }

func (i inTurn) Parallel()     {}
func (i inTurn) Verbose() bool { return os.Getenv("RL_TEST_VERBOSE") != "" }
func (i inTurn) Run(name string, f func(testscript.T)) {
	i.T.Run(name, func(t *testing.T) { f(inTurn{t}) })
}

// A script remembers who is logged in, the latest last.
type script struct {
	m        *Machine
	sessions []string
}

type scriptKey struct{}

func of(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

func (s *script) restarted(err error) error {
	s.sessions = nil
	return err
}

// tidy gives the machine to the next script as this one found it, also when this
// one failed.
func (s *script) tidy() error {
	for _, user := range s.sessions {
		if _, err := s.m.do(request{Session: user, Logout: true, Seconds: patience}); err != nil {
			// A session that was killed has nobody to log out.
			continue
		}
	}
	const tidy = `
for u in rlsub rlone; do
	loginctl disable-linger $u
	systemctl stop user@$(id -u $u)
	rm -rf /home/$u/.local/share/rl/containers /home/$u/.local/share/rl/ephemeral /home/$u/.local/share/rl/names
done 2>/dev/null
for p in /proc/[0-9]*; do
	case $(readlink $p/exe) in */rl) kill -9 ${p##*/};; esac
done
for u in rlsub rlone; do
	! pgrep -u $u >/dev/null || pkill -KILL -u $u
done
true`
	_, err := s.m.do(request{Argv: []string{"sh", "-c", tidy}, Seconds: patience})
	return err
}

func cmdLogin(by how) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("usage: %s USER [PROPERTY…]", by)
		}
		s := of(ts)
		_, err := s.m.do(request{Login: args[0], How: by, Props: args[1:], Seconds: patience})
		ts.Check(err)
		s.sessions = append(s.sessions, args[0])
	}
}

func cmdLogout(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	_, err := s.m.do(request{Session: s.current(ts), Logout: true, Seconds: patience})
	ts.Check(err)
	s.sessions = s.sessions[:len(s.sessions)-1]
}

func (s *script) current(ts *testscript.TestScript) string {
	if len(s.sessions) == 0 {
		ts.Fatalf("nobody is logged in")
	}
	return s.sessions[len(s.sessions)-1]
}

// perform has a command run where its first word says, and keeps what it prints.
func perform(ts *testscript.TestScript, args []string) int {
	s := of(ts)
	q := request{Argv: args, Seconds: patience}
	switch args[0] {
	case "rl":
		q.Session = s.current(ts)
	case "sh", "root":
		if len(args) != 2 {
			ts.Fatalf("usage: %s SCRIPT", args[0])
		}
		q.Argv = []string{"sh", "-c", args[1]}
		if args[0] == "sh" {
			q.Session = s.current(ts)
		}
	default:
		ts.Fatalf("%s: not rl, sh or root", args[0])
	}
	r, err := s.m.do(q)
	ts.Stdout().Write(r.Stdout)
	ts.Stderr().Write(r.Stderr)
	ts.Check(err)
	return r.Status
}

func cmdRun(what string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if status := perform(ts, append([]string{what}, args...)); neg != (status != 0) {
			ts.Fatalf("exit status %d", status)
		}
	}
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS rl|sh|root …")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if status := perform(ts, args[1:]); status != want {
		ts.Fatalf("exit status %d, not %d", status, want)
	}
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: until SCRIPT")
	}
	loop := fmt.Sprintf("until %s; do sleep 0.1; done", args[0])
	if status := perform(ts, []string{"sh", loop}); status != 0 {
		ts.Fatalf("exit status %d", status)
	}
}

func cmdNoleft(ts *testscript.TestScript, neg bool, args []string) {
	var left string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		r, err := of(ts).m.do(request{Left: true, Seconds: patience})
		ts.Check(err)
		if left = string(r.Stdout); left == "" {
			return
		}
	}
	ts.Fatalf("left behind:\n%s", left)
}
