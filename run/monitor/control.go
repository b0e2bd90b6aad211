package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rl/slirp"
	"rl/slirp/tap"
	"rl/userns/stage"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// What other commands ask of a running container's monitor goes over a socket in
// the runtime directory, which is its user's alone: SOCK_SEQPACKET, one question
// and one answer a connection.
//
//	rl run --network container:NAME   ── J [socket, stdin, stdout, stderr] ──▶  a monitor in this one's namespaces
//	rl network connect                ── A interface [lease…] ───────────────▶  a new device
//	rl network disconnect             ── R network ──────────────────────────▶  its device goes
//	rl exec                           ── X Exec [stdin, stdout, stderr] ─────▶  a program in the container
//	                                  ◀── P [terminal], R, X status ──────────
//	  when it is left by its keys     ── M [terminal] ───────────────────────▶  is read from now on: the program goes on
//	rl attach                         ── V Attach [stdout, stderr] ──────────▶  writes to these pipes, too
//	                                  ◀── P [terminal] or I [stdin] or R ────
//	                                  ◀── N text, X status ──────────────────  when the container has ended
//	rl cp                             ── Y [in, out, socket] ────────────────▶  a process in its mount namespace, see run/carry
//	rl kill, stop                     ── S signal, how ──────────────────────▶  hands it to the workload
//	rl pause, unpause, update         ── F, T, L limits ─────────────────────▶  its cgroup
//	rl healthcheck run                ── H ──────────────────────────────────▶  probes it now
//	rl wait                           ── W ──────────────────────────────────▶
//	                                  ◀── X status ───────────────────────────  when the container has ended
//	                                  ◀── K [answer]  or  E code text ────────
const (
	AskJoin       = 'J' // start another container's monitor in this user and network namespace
	AskAttach     = 'A' // then slirp.Interface as JSON; its leases come with it
	AskDetach     = 'R' // then the network's name
	AskExec       = 'X' // then Exec as JSON, with three streams
	AskKeep       = 'M' // with a terminal's master
	AskCarry      = 'Y' // with the streams of run/carry and its socket
	AskSignal     = 'S' // then the signal's number, and SignalThaws, SignalStops
	AskFreeze     = 'F' // rl pause
	AskThaw       = 'T' // rl unpause
	AskLimits     = 'L' // rl update: then option.Limits as JSON
	AskStreams    = 'V' // then Attach as JSON, with two pipes
	AskRestart    = 'U' // rl update: then option.Restart as JSON
	AskHealth     = 'H' // rl healthcheck run: answered by y or n, then the status
	AskWait       = 'W' // answered by MsgExit at the container's end; with a further byte, at the end of this run
	AnswerDone    = 'K'
	AnswerRefused = 'E' // then 125 and text, as MsgError
)

// What comes with a signal: a paused workload goes on for it; it is to end for good by it,
// whatever the restart policy is.
const (
	SignalThaws = 1 << iota
	SignalStops
)

// ControlSuffix is how the name of a control socket ends.
const ControlSuffix = ".ctl"

// ControlName is the name of a container's socket.
func ControlName(id string) string { return id + ControlSuffix }

// Ask asks the monitor behind a socket.
func Ask(path string, msg []byte, fds ...int) ([]byte, error) {
	s, err := sys.Dial(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.Send(msg, fds...); err != nil {
		return nil, err
	}
	answer, files, err := s.Recv()
	for _, f := range files {
		f.Close()
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("the container ended: %w", err)
	case answer[0] == AnswerDone:
		return answer[1:], nil
	case len(answer) > 2:
		what, hint, _ := strings.Cut(string(answer[2:]), "\n")
		return nil, fault.New(hint, "%s", what)
	}
	return nil, errors.New("the container's answer was cut")
}

// End kills the monitor behind a socket, which does not answer; the kernel ends the container then.
func End(path string) error {
	s, err := sys.Dial(path)
	if err != nil {
		return err
	}
	defer s.Close()
	pid, err := s.Peer()
	switch {
	case err != nil:
		return err
	case pid < 1: // in a pid namespace that is not below ours
		return errors.New("the container's monitor does not answer, and cannot be seen from here")
	}
	return unix.Kill(pid, unix.SIGKILL)
}

// WaitFor waits until the container behind a socket has ended, with next until it has ended
// the next time. ok is false when
// it ended otherwise than by telling.
func WaitFor(path string, next bool) (code int, ok bool) {
	s, err := sys.Dial(path)
	if err != nil {
		return 0, false
	}
	defer s.Close()
	msg := []byte{AskWait}
	if next {
		msg = append(msg, 1)
	}
	if s.Send(msg) != nil {
		return 0, false
	}
	msg, _, err = s.Recv()
	if err != nil || msg[0] != MsgExit || len(msg) < 2 {
		return 0, false
	}
	return int(msg[1]), true
}

// listen opens the control socket.
func (m *monitor) listen() error {
	if m.conf.Control == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(m.conf.Control), 0o700); err != nil {
		return err
	}
	l, err := sys.Listen(m.conf.Control)
	if err != nil {
		return fmt.Errorf("listen for commands: %w", err)
	}
	m.control = l
	go func() {
		for {
			s, err := l.Accept()
			switch err {
			case nil:
			case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM: // the container must not make itself unstoppable
				time.Sleep(50 * time.Millisecond)
				continue
			default:
				return
			}
			go m.answer(s)
		}
	}()
	return nil
}

func (m *monitor) unlisten() error {
	if m.control == nil {
		return nil
	}
	return os.Remove(m.conf.Control)
}

func (m *monitor) answer(s *sys.Socket) {
	defer s.Close()
	msg, files, err := s.Recv()
	if err != nil {
		return
	}
	var kept bool
	var told []byte
	switch msg[0] {
	case AskJoin:
		told, err = m.join(files)
	case AskAttach:
		kept, err = m.attach(msg[1:], files)
	case AskDetach:
		err = m.detachNetwork(string(msg[1:]))
	case AskKeep:
		kept, err = keepTerminal(files)
	case AskCarry:
		err = m.carry(files)
	case AskSignal:
		if len(msg) < 2 {
			return
		}
		m.tell("kill", "signal", itoa(int(msg[1])))
		var how byte
		if len(msg) > 2 {
			how = msg[2]
		}
		if how&SignalStops != 0 || m.conf.ends(msg[1]) {
			m.stop(true)
		}
		m.signal(int(msg[1]))
		if how&SignalThaws != 0 {
			err = m.resume()
		}
	case AskFreeze:
		if err = m.freeze(); err == nil {
			m.tell("pause")
		}
	case AskThaw:
		if err = m.thaw(); err == nil {
			m.tell("unpause")
		}
	case AskLimits:
		if err = m.update(msg[1:]); err == nil {
			m.tell("update")
		}
	case AskHealth:
		told, err = m.answerHealth()
	case AskRestart:
		if err = m.setPolicy(msg[1:]); err == nil {
			m.tell("update")
		}
	case AskWait:
		m.answers.Add(1)
		defer m.answers.Done()
		if len(msg) > 1 {
			s.Send([]byte{MsgExit, byte(m.nextEnd())})
			return
		}
		<-m.gone
		s.Send([]byte{MsgExit, byte(m.code.Load())})
		return
	case AskExec:
		if err = m.exec(s, msg[1:], files); err == nil {
			return // it said all itself
		}
	case AskStreams:
		if err = m.stay(s, msg[1:], files); err == nil {
			return // so did this
		}
	default:
		err = errors.New("this container was started by a version of rl that cannot do that")
	}
	if !kept {
		for _, f := range files {
			f.Close()
		}
	}
	if err != nil {
		s.Send(append([]byte{AnswerRefused}, refusal(err)...))
		return
	}
	s.Send(append([]byte{AnswerDone}, told...))
}

// join starts the monitor of a container that shares this one's network: as a
// child, for nobody else may enter our namespaces. Its pid namespace lies in ours, so it ends
// with this container. The answer is the names that belong to the network.
func (m *monitor) join(files []*os.File) ([]byte, error) {
	if len(files) != 4 {
		return nil, errors.New("join: four descriptors are wanted")
	}
	names, err := json.Marshal(m.conf.Names)
	if err != nil {
		return nil, err
	}
	ns, err := m.namespace()
	if err != nil {
		return nil, err
	}
	return names, ns.Do(func() error {
		fds := []uintptr{files[1].Fd(), files[2].Fd(), files[3].Fd(), files[0].Fd()}
		_, err := syscall.ForkExec("/proc/self/exe", stage.Argv(Stage), &syscall.ProcAttr{
			Env: stage.Env(Stage, stage.OneProcessor), Files: fds,
			Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Setsid: true, Pdeathsig: syscall.SIGKILL},
		})
		return err
	})
}

// namespace is a thread in the container's network namespace, which init may have made.
func (m *monitor) namespace() (*tap.Namespace, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.net.ns != nil {
		return m.net.ns, nil
	}
	if m.ended || !m.running {
		return nil, errors.New("the container has ended")
	}
	fd, err := unix.PidfdOpen(m.init.pid, 0)
	if err != nil {
		return nil, err
	}
	pidfd := os.NewFile(uintptr(fd), "pidfd")
	defer pidfd.Close()
	ns, err := tap.Enter(pidfd)
	if err == nil {
		m.net.ns = ns
	}
	return ns, err
}

// attach connects the container to a further network.
func (m *monitor) attach(data []byte, leases []*os.File) (kept bool, err error) {
	if m.net.stack == nil {
		return false, fault.New("start it with a network of rl's", "this container has no network stack to connect")
	}
	var i slirp.Interface
	if err := json.Unmarshal(data, &i); err != nil {
		return false, err
	}
	m.net.change.Lock()
	defer m.net.change.Unlock()
	var number int
	i.Name, number = m.net.stack.FreeName()
	taps, err := m.devices(number, []slirp.Interface{i})
	if err != nil {
		return false, err
	}
	if err := m.net.stack.Attach(i, taps[0], leases); err != nil {
		return false, errors.Join(err, tap.Remove(taps[0].File))
	}
	return true, nil
}

func (m *monitor) detachNetwork(name string) error {
	if m.net.stack == nil {
		return fault.New("", "this container is not connected to the network %s", name)
	}
	return m.net.stack.Detach(name)
}
