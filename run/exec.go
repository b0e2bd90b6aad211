package run

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"rl/run/monitor"
	"rl/run/state"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// Execution is a further program in a running container.
type Execution struct {
	monitor.Exec
	Container   string
	Interactive bool
	Background  bool
	Detach      []byte // keys that leave it running
	Stdio       [3]*os.File
}

// ending are the signals that end us.
var ending = []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}

// Exec runs a program in a running container and gives its exit status.
func (e *Engine) Exec(x *Execution) (int, error) {
	rec, err := e.running(x.Container)
	if err != nil {
		return 0, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	stdio := x.Stdio
	var between streams
	switch {
	case x.Background:
		stdio = [3]*os.File{}
	case x.Terminal:
		if size, err := unix.IoctlGetWinsize(screenOf(x.Stdio), unix.TIOCGWINSZ); err == nil {
			x.Rows, x.Cols = size.Row, size.Col
		}
		stdio = [3]*os.File{}
	default:
		if !x.Interactive {
			stdio[0] = nil
		}
		if err := between.interpose(&stdio); err != nil {
			return 0, err
		}
	}
	msg, err := json.Marshal(x.Exec)
	if err != nil {
		return 0, err
	}
	if len(msg)+1 > sys.MaxMessage {
		return 0, fault.New("", "the command line and the environment are longer than %d bytes", sys.MaxMessage)
	}
	fds := make([]int, 3)
	for i, f := range stdio {
		if f == nil {
			f = null
		}
		fds[i] = int(f.Fd())
	}
	s, err := sys.Dial(rec.Control)
	if err != nil {
		between.release()
		return 0, notRunning(rec)
	}
	defer s.Close()
	err = s.Send(append([]byte{monitor.AskExec}, msg...), fds...)
	between.release()
	if err != nil {
		return 0, err
	}
	code, err := e.attendExec(x, s, rec)
	between.drain()
	return code, err
}

// attendExec stays with it until its end. Signals are not handed on: they end this command, which
// has nothing to tidy up but the terminal, and the program goes on, as docker has it.
func (e *Engine) attendExec(x *Execution, s *sys.Socket, rec *state.Record) (int, error) {
	var term *terminal
	defer func() { term.restore() }()
	left := make(chan int, 1)
	hear := hearing(s)
	for {
		var m heard
		select {
		case code := <-left:
			term.restore()
			if code != 0 {
				return code, nil
			}
			signal.Reset(ending...)
			_, err := monitor.Ask(rec.Control, []byte{monitor.AskKeep}, int(term.master.Fd()))
			e.Notice("read escape sequence")
			return 0, err
		case m = <-hear:
		}
		if m.err == io.EOF {
			return 137, fault.WithCode(137, "", "the container ended")
		}
		if m.err != nil {
			return 0, m.err
		}
		switch m.msg[0] {
		case monitor.MsgNotice:
			e.Notice(string(m.msg[1:]))
		case monitor.MsgTerminal:
			if len(m.files) == 1 && !x.Background {
				if x.Interactive {
					onEnding(func(n syscall.Signal) { left <- 128 + int(n) }, ending...)
				}
				term = openTerminal(m.files[0], m.files[0], x.Stdio, x.Interactive)
				if x.Interactive {
					go term.copyInput(x.Stdio[0], x.Detach, func() { left <- 0 }, func() {})
				}
			}
		case monitor.MsgRunning:
			if x.Background {
				return 0, nil
			}
		case monitor.MsgError:
			term.restore()
			return 0, refusal(m.msg[1:])
		case monitor.MsgExit:
			term.drain()
			if len(m.msg) < 2 {
				return 0, fmt.Errorf("the monitor's last message was cut")
			}
			return int(m.msg[1]), nil
		}
	}
}
