package external

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// Process is a running program.
type Process struct {
	kind   Kind
	cmd    *exec.Cmd
	stderr messages
	done   chan struct{}
	err    error // once done
}

// start forks. The thread that does so is the one whose end would kill the program
// (PDEATHSIG), so it has nothing else to do until the program ends: another one could have
// been locked by a goroutine, and end with it.
func start(kind Kind, cmd *exec.Cmd) (*Process, error) {
	p := &Process{kind: kind, cmd: cmd, done: make(chan struct{})}
	cmd.Stderr = &p.stderr
	cmd.WaitDelay = time.Second // for whoever else holds its standard error
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = p.ended(cmd.Wait())
			close(p.done)
		}
	}()
	return p, <-started
}

// ended is why the program has ended. A process that is pid 1 of its pid
// namespace may have waited for it elsewhere: then only that it did is known.
func (p *Process) ended(wait error) error {
	how := "it ended"
	if wait != nil && !errors.Is(wait, unix.ECHILD) && !errors.Is(wait, exec.ErrWaitDelay) {
		how = wait.Error()
	}
	text := p.stderr.said()
	hint := ""
	if p.kind == Pasta && strings.Contains(text, "No external routable interface for IPv4") {
		hint = "pasta needs a default route on the host; --network slirp does not"
	}
	if text == "" {
		return fault.New(hint, "%s: %s", p.kind, how)
	}
	return fault.New(hint, "%s: %s: %s", p.kind, how, text)
}

// Done is closed when the program has ended, by Close or by itself.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err tells why the program has ended, nil while it runs.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Close ends the program and waits for its end. It can be called again.
func (p *Process) Close() error {
	err := p.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, unix.ESRCH) {
		err = nil
	}
	if err == nil {
		<-p.done
	}
	return err
}

// messages are the first of what a program says on standard error.
type messages struct {
	mu   sync.Mutex
	text []byte
}

const maxMessages = 4096

func (m *messages) Write(b []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text = append(m.text, b[:min(len(b), maxMessages-len(m.text))]...)
	return len(b), nil
}

// said is what matters of it, in one line.
func (m *messages) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []string
	for line := range strings.Lines(string(m.text)) {
		line = strings.TrimSpace(strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return ' '
			}
			return r
		}, line))
		line = strings.TrimPrefix(strings.TrimPrefix(line, "pasta: "), "slirp4netns: ")
		switch {
		case strings.HasPrefix(line, "Usage"): // the rest is all that could have been said
			return strings.Join(list, "; ")
		case line == "",
			strings.HasPrefix(line, "WARNING: "),
			strings.HasPrefix(line, "Failed to send "): // pasta, where no syslog listens
		default:
			list = append(list, line)
		}
	}
	text := strings.Join(list, "; ")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "…"
	}
	return text
}
