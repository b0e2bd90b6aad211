package vm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"syscall"
	"time"
)

// AgentName is what the test binary must be called to be the agent.
const AgentName = "agent"

const port = "/dev/virtio-ports/rl"

// Agent is the program inside the machine: without arguments the service that
// root's systemd starts, with "session" what a session runs. It returns the
// exit status.
func Agent(args []string) int {
	a := &agent{sessions: map[string]*session{}}
	err := error(nil)
	if len(args) == 1 && args[0] == "session" {
		err = a.serve(newWire(os.Stdin, os.Stdout))
	} else {
		err = a.listen()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		return 1
	}
	return 0
}

type agent struct{ sessions map[string]*session }

// A session is the agent once more, as somebody else.
type session struct {
	*wire
	cmd   *exec.Cmd
	stdin io.Closer
}

func (a *agent) listen() error {
	f, err := os.OpenFile(port, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return err
	}
	w := newWire(f, f)
	if err := w.send(reply{Boot: strings.TrimSpace(string(boot))}); err != nil {
		return err
	}
	return a.serve(w)
}

// serve answers until nobody asks any more.
func (a *agent) serve(w *wire) error {
	for {
		var q request
		switch err := w.receive(&q); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		r, err := a.answer(q)
		if err != nil {
			r.Error = err.Error()
		}
		if err := w.send(r); err != nil {
			return err
		}
	}
}

func (a *agent) answer(q request) (reply, error) {
	switch {
	case q.Login != "":
		return reply{}, a.login(q)
	case q.Left:
		return reply{Stdout: []byte(strings.Join(left(), "\n"))}, nil
	case q.Session == "":
		return run(q)
	}
	s, ok := a.sessions[q.Session]
	if !ok {
		return reply{}, fmt.Errorf("%s is not logged in", q.Session)
	}
	if q.Logout {
		delete(a.sessions, q.Session)
		return reply{}, errors.Join(s.stdin.Close(), s.cmd.Wait())
	}
	var r reply
	q.Session = ""
	if err := s.send(q); err != nil {
		return r, fmt.Errorf("the session has ended: %w", err)
	}
	if err := s.receive(&r); err != nil {
		return r, fmt.Errorf("the session has ended: %w", err)
	}
	return r, nil
}

func (a *agent) login(q request) error {
	if a.sessions[q.Login] != nil {
		return fmt.Errorf("%s is logged in already", q.Login)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var cmd *exec.Cmd
	switch q.How {
	case pam:
		cmd = exec.Command("su", "-l", q.Login, "-c", "exec "+self+" session")
	case bare:
		cmd = exec.Command("setpriv", "--reuid", q.Login, "--regid", q.Login, "--init-groups", "--reset-env", self, "session")
		u, err := user.Lookup(q.Login)
		if err != nil {
			return err
		}
		cmd.Dir = u.HomeDir
	case service:
		args := []string{"--quiet", "--pipe", "--wait", "--collect", "--uid=" + q.Login, "--unit=rl-test-" + q.Login}
		for _, p := range append(q.Props, "WorkingDirectory=~") {
			args = append(args, "--property="+p)
		}
		cmd = exec.Command("systemd-run", append(args, self, "session")...)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	s := &session{newWire(stdout, stdin), cmd, stdin}
	// It is there when it answers.
	var r reply
	if err := errors.Join(s.send(request{Argv: []string{"true"}, Seconds: 30}), s.receive(&r)); err != nil {
		stdin.Close()
		return errors.Join(err, cmd.Wait())
	}
	a.sessions[q.Login] = s
	return nil
}

// run runs a command to its end, and whoever it leaves with our pipes is an error:
// what goes on in the background has no business with them.
func run(q request) (r reply, err error) {
	cmd := exec.Command(q.Argv[0], q.Argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return r, err
	}
	hung := time.AfterFunc(time.Duration(q.Seconds)*time.Second, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err = cmd.Wait()
	if !hung.Stop() {
		return reply{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}, fmt.Errorf("did not end in %d s", q.Seconds)
	}
	r = reply{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil
	}
	w := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if r.Status = w.ExitStatus(); w.Signaled() {
		r.Status = 128 + int(w.Signal())
	}
	return r, err
}
