package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Trial is one thing to try in a throw-away child.
type Trial struct {
	Name  string   // the test that [Main] runs; "true" does nothing
	Args  []string // its arguments
	Flags uintptr  // CLONE_NEW* of the child; with CLONE_NEWUSER it is root there when Map is set
	Map   bool     // map the caller to 0 before the test starts
	// Mappers are commands to run when the child exists, before it goes on,
	// with "PID" standing for its process id: newuidmap and newgidmap.
	Mappers [][]string
}

// Outcome is what came of a trial.
type Outcome struct {
	// Step is how far it came: "start" (no child could be made), "map", or the
	// name of the system call that failed; "" when all went well.
	Step string
	Err  error  // nil, or what failed; a unix.Errno where there was one
	Note string // what the test wants to tell
}

// answer is the line of JSON that a child writes.
type answer struct {
	Step  string `json:"step,omitempty"`
	Errno int    `json:"errno,omitempty"`
	Text  string `json:"text,omitempty"` // of an error without errno
	Note  string `json:"note,omitempty"`
}

// errNoStage is the outcome of a trial in a program that cannot make one.
var errNoStage = errors.New("this program does not serve the probe stage")

// realTry starts the stage and waits for its answer.
func (h *Host) realTry(t Trial) Outcome {
	exe := h.Exe
	if exe == "" {
		if os.Getenv(stageEnv) != "" || strings.HasSuffix(os.Args[0], ".test") {
			return Outcome{Step: "start", Err: errNoStage}
		}
		exe = "/proc/self/exe"
	}
	ctx, cancel := context.WithTimeout(context.Background(), h.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe)
	cmd.Args = append([]string{"rl", "__probe", t.Name}, t.Args...)
	cmd.Env = []string{stageEnv + "=probe", "GOMAXPROCS=2"}
	var out, errout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errout
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: t.Flags}
	if t.Map {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	if len(t.Mappers) > 0 {
		// The child executes before its map is written, as nobody, and would lose
		// the capabilities that it has in its namespace: ambient ones stay.
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_SETUID, unix.CAP_SETGID}
		return h.tryMapped(cmd, t, &out)
	}
	// Not /dev/null, which os/exec would open: there may be no /dev.
	r, w, err := os.Pipe()
	if err != nil {
		return Outcome{Step: "start", Err: err}
	}
	w.Close()
	defer r.Close()
	cmd.Stdin = r
	if err := cmd.Run(); err != nil && out.Len() == 0 {
		return startFailure(err, errout.String())
	}
	return readAnswer(out.Bytes())
}

// tryMapped holds the child back, by its open standard input, until the
// mappers have run.
func (h *Host) tryMapped(cmd *exec.Cmd, t Trial, out *bytes.Buffer) Outcome {
	gate, err := cmd.StdinPipe()
	if err != nil {
		return Outcome{Step: "start", Err: err}
	}
	if err := cmd.Start(); err != nil {
		return startFailure(err, "")
	}
	defer cmd.Wait()
	defer gate.Close()
	for _, m := range t.Mappers {
		args := append([]string(nil), m[1:]...)
		for i, a := range args {
			if a == "PID" {
				args[i] = fmt.Sprint(cmd.Process.Pid)
			}
		}
		if _, err := h.Run(m[0], args...); err != nil {
			return Outcome{Step: m[0], Err: err}
		}
	}
	gate.Close()
	if err := cmd.Wait(); err != nil && out.Len() == 0 {
		return startFailure(err, "")
	}
	return readAnswer(out.Bytes())
}

// startFailure tells a refused clone from a child that died.
func startFailure(err error, stderr string) Outcome {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return Outcome{Step: "start", Err: errno}
	}
	if s := strings.TrimSpace(stderr); s != "" {
		err = fmt.Errorf("%w: %s", err, s)
	}
	return Outcome{Step: "child", Err: err}
}

func readAnswer(raw []byte) Outcome {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return Outcome{Step: "child", Err: fmt.Errorf("not an answer: %.60q", raw)}
	}
	o := Outcome{Step: a.Step, Note: a.Note}
	switch {
	case a.Errno != 0:
		o.Err = unix.Errno(a.Errno)
	case a.Text != "":
		o.Err = errors.New(a.Text)
	}
	return o
}

// realRun runs a helper program with a clean environment, so that its messages
// are in English, and gives what it printed. The error is what it complained.
func (h *Host) realRun(path string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), h.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"}
	var out, errout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errout
	err := cmd.Run()
	if s := strings.TrimSpace(errout.String()); err != nil && s != "" {
		err = errors.New(s)
	}
	return out.String(), err
}

// errText is an errno as people read it, without the path that is said already.
func errText(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
