package run

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"rl/run/monitor"
	"rl/run/state"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// Joining is how to be attached to a running container.
type Joining struct {
	Container string
	NoStdin   bool
	SigProxy  bool   // hand our signals on; not where there is a terminal
	Detach    []byte // keys that leave
	Stdio     [3]*os.File
}

// Attach joins our streams and those of a running container until it ends, whose exit
// status it gives, or until we leave.
func (e *Engine) Attach(ctx context.Context, a *Joining) (int, error) {
	rec, err := e.attachable(a.Container)
	if err != nil {
		return 0, err
	}
	if rec.Terminal && rec.Interactive && !a.NoStdin && !isTerminal(a.Stdio[0]) {
		return 0, fault.New("use --no-stdin to look on, or run rl from a terminal", "the input device is not a terminal")
	}
	s, err := sys.Dial(rec.Control)
	if err != nil {
		return 0, stopped(rec)
	}
	defer s.Close()
	var between streams
	theirs, err := between.view(a.Stdio[1], a.Stdio[2])
	for _, f := range theirs {
		defer f.Close()
	}
	if err != nil {
		return 0, err
	}
	how, err := json.Marshal(monitor.Attach{NoStdin: a.NoStdin})
	if err != nil {
		return 0, err
	}
	fds := make([]int, len(theirs))
	for i, f := range theirs {
		fds[i] = int(f.Fd()) // blocking now, until the monitor has it
	}
	j := &joined{Engine: e, Joining: a, rec: rec, socket: s, out: &between, left: make(chan int, 1), stands: make(chan struct{})}
	if j.proxies() {
		j.proxy(ctx) // before its output can be seen, upon which somebody may send one
	}
	if err := s.Send(append([]byte{monitor.AskStreams}, how...), fds...); err != nil {
		return 0, stopped(rec)
	}
	for _, f := range theirs {
		f.Close()
	}
	return j.stay(ctx)
}

// attachable finds a container that one can be attached to. The reasons why not are docker's.
func (e *Engine) attachable(text string) (*state.Record, error) {
	rec, err := e.State.Find(text)
	if err != nil {
		return nil, err
	}
	now, err := e.State.Status(rec)
	switch {
	case !now.Running:
		return nil, stopped(rec)
	case now.Paused:
		return nil, fault.New("`rl unpause` lets it go on", "you cannot attach to a paused container, unpause it first: %s", rec.Name)
	}
	return rec, err
}

func stopped(rec *state.Record) error {
	return fault.New("", "you cannot attach to a stopped container, start it first: %s", rec.Name)
}

// joined is an attachment that stands.
type joined struct {
	*Engine
	*Joining
	rec    *state.Record
	socket *sys.Socket
	out    *streams
	term   *terminal
	left   chan int // the exit status of who leaves
	begun  sync.Once
	stands chan struct{} // closed when the monitor has answered
}

// stay is attached until the end.
func (j *joined) stay(ctx context.Context) (int, error) {
	defer func() { j.term.restore() }()
	hear := hearing(j.socket)
	for {
		var m heard
		select {
		case code := <-j.left:
			j.term.restore()
			if code == 0 {
				j.Notice("read escape sequence")
			}
			return code, nil
		case <-ctx.Done():
			if !j.proxies() {
				return 128 + int(syscall.SIGTERM), nil
			}
			ctx = context.WithoutCancel(ctx) // proxy has it, too
			continue
		case m = <-hear:
		}
		if m.err == io.EOF { // the monitor was killed, and the kernel ended the container
			return 137, fault.WithCode(137, "", "the container's monitor was killed")
		}
		if m.err != nil {
			return 0, m.err
		}
		switch m.msg[0] {
		case monitor.MsgTerminal, monitor.MsgInput, monitor.MsgRunning:
			j.begin(m)
		case monitor.MsgNotice:
			j.Notice(string(m.msg[1:]))
		case monitor.AnswerRefused:
			return 0, refusal(m.msg[1:])
		case monitor.MsgExit:
			if len(m.msg) < 2 {
				return 0, errors.New("the monitor's last message was cut")
			}
			j.out.drain()
			return int(m.msg[1]), nil
		}
	}
}

// begin starts to type.
func (j *joined) begin(m heard) {
	j.begun.Do(func() { close(j.stands) })
	if len(m.files) != 1 {
		return
	}
	to := m.files[0]
	if m.msg[0] == monitor.MsgInput {
		go func() {
			io.Copy(to, j.Stdio[0]) // its end is ours alone: others may go on typing
			to.Close()
		}()
		return
	}
	if j.NoStdin || !j.rec.Interactive { // our terminal stays as it is
		to.Close()
		return
	}
	onEnding(func(n syscall.Signal) { j.left <- 128 + int(n) }, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT)
	j.term = joinTerminal(to, j.Stdio, true)
	j.term.redraw()
	go j.term.copyInput(j.Stdio[0], j.Detach, func() { j.left <- 0 }, func() { j.left <- 128 + int(syscall.SIGHUP) })
}

// proxies tells whether signals are the workload's.
func (j *joined) proxies() bool { return j.SigProxy && !j.rec.Terminal }

// answerTime is how long a monitor has to answer when we are to end.
const answerTime = time.Second

// proxy hands signals on, as docker does, but for those that are about us. Who waits for a monitor
// that does not answer is ended by them, and by the third request to end that had no effect.
func (j *joined) proxy(ctx context.Context) {
	ch := make(chan os.Signal, 64)
	signal.Notify(ch)
	if ctx.Err() != nil { // it came before this listened
		ch <- syscall.SIGTERM
	}
	hand := make(chan syscall.Signal, 64)
	go func() {
		for n := range hand {
			if err := ask(j.rec, []byte{monitor.AskSignal, byte(n)}); err != nil {
				j.Notice(err.Error())
			}
		}
	}()
	go func() {
		requests := 0
		for s := range ch {
			n, ok := s.(syscall.Signal)
			if !ok || aboutUs(n) {
				continue
			}
			if slices.Contains(ending, s) && !j.answered() {
				j.left <- 128 + int(n)
				return
			}
			if n == syscall.SIGINT || n == syscall.SIGTERM {
				if requests++; requests == 3 {
					j.Notice("got 3 SIGTERM/SIGINTs, forcefully exiting")
					j.left <- 128 + int(n)
					return
				}
			}
			select {
			case hand <- n:
			default: // nobody takes them
			}
		}
	}()
}

// answered waits a moment for the monitor: what it sends may have been seen before its answer was heard.
func (j *joined) answered() bool {
	select {
	case <-j.stands:
		return true
	case <-time.After(answerTime):
		return false
	}
}

// aboutUs are the signals that a front does not hand on.
func aboutUs(n syscall.Signal) bool {
	switch n {
	case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE, syscall.SIGWINCH, syscall.SIGTTIN, syscall.SIGTTOU:
		return true
	}
	return false
}

// heard is a message of a monitor.
type heard struct {
	msg   []byte
	files []*os.File
	err   error
}

// hearing listens to a monitor in the background.
func hearing(s *sys.Socket) <-chan heard {
	ch := make(chan heard)
	go func() {
		for {
			msg, files, err := s.Recv()
			ch <- heard{msg, files, err}
			if err != nil {
				return
			}
		}
	}()
	return ch
}
