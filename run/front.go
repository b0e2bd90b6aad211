package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"rl/run/monitor"
	"rl/userns/sys/fault"
)

// attend stays with the container until its end: notices, the terminal, signals.
func (p *preparation) attend(ctx context.Context) (int, error) {
	var term *terminal
	defer func() { term.restore() }()
	var swept chan struct{}
	for {
		msg, files, err := p.child.Socket.Recv()
		if err == io.EOF {
			return p.orphaned()
		}
		if err != nil {
			return 0, err
		}
		switch msg[0] {
		case monitor.MsgNotice:
			p.Notice(string(msg[1:]))
		case monitor.MsgRunning:
			p.ran = true
			p.writePID()
			if p.Background || p.Loose {
				p.child.Socket.Send(p.letGo()) // fails when it has ended already, as the next message says
			}
			if !p.Background {
				swept = make(chan struct{})
				go func() {
					p.Sweep(ctx)
					close(swept)
				}()
			}
		case monitor.MsgTerminal:
			if len(files) == 2 {
				term = p.attachTerminal(files[0], files[1])
			}
		case monitor.MsgError:
			term.restore()
			p.finish()
			return 0, refusal(msg[1:])
		case monitor.MsgExit:
			term.drain()
			p.finish()
			if p.Background { // it ended before we had left
				p.Started(p.rec.ID)
				return 0, nil
			}
			if len(msg) < 2 {
				return 0, errors.New("the monitor's last message was cut")
			}
			if swept != nil { // begun is ended, as a rule long ago
				select {
				case <-swept:
				case <-time.After(5 * time.Second):
				}
			}
			if p.ended != 0 {
				return 128 + int(p.ended), nil
			}
			return int(msg[1]), nil
		case monitor.MsgDetach:
			if p.Background {
				p.Started(p.rec.ID)
				p.Sweep(ctx)
				return 0, nil
			}
			if len(msg) > 1 {
				continue // it has only let go
			}
			term.restore()
			if p.ended != 0 {
				return 128 + int(p.ended), nil
			}
			p.Notice("read escape sequence")
			return 0, nil
		}
	}
}

// writePID writes what --pidfile asked for; that it could not be is no reason to end what runs.
func (p *preparation) writePID() {
	if p.Flags.PIDFile == "" {
		return
	}
	err := errors.New("it has ended already")
	if pid := workload(p.rec); pid != 0 {
		err = os.WriteFile(p.Flags.PIDFile, []byte(strconv.Itoa(pid)), 0o644)
	}
	if err != nil {
		p.Notice("the workload's process number was not written: " + err.Error())
	}
}

// refusal is why the workload was not executed: one byte of exit status, the
// reason, and a remedy in a second line.
func refusal(msg []byte) error {
	code, text := 125, "the container could not be started"
	if len(msg) > 1 {
		code, text = int(msg[0]), string(msg[1:])
	}
	what, hint, _ := strings.Cut(text, "\n")
	return fault.WithCode(code, hint, "%s", what)
}

// finish waits for the monitor and forgets a container that is removed.
func (p *preparation) finish() {
	p.child.Wait()
	p.child.Socket.Close()
	if p.conn.control != "" {
		os.Remove(p.conn.control) // of a monitor that was killed
	}
	if p.Flags.Remove {
		if _, err := os.Lstat(p.State.Dir(p.rec)); err == nil {
			p.mourn(p.rec)
			p.discard(p.rec)
		}
	}
}

// orphaned is what is left to do when the monitor was killed: the kernel ended
// the container with it, the files remain.
func (p *preparation) orphaned() (int, error) {
	foreign := p.child.Pid == 0
	status, err := p.child.Wait()
	p.finish()
	if !p.Flags.Remove {
		p.mourned(p.rec)
	}
	if foreign {
		return 137, fault.WithCode(137, "", "the container whose network this one shares has ended, and this one with it")
	}
	if err == nil && status.Signaled() {
		return 128 + int(status.Signal()), fault.WithCode(128+int(status.Signal()), "", "the container's monitor was killed by signal %d", status.Signal())
	}
	return 0, fmt.Errorf("the container's monitor ended unexpectedly with status %d", status.ExitStatus())
}

// forward hands the front's signals to the workload (--sig-proxy), as docker
// does. It listens from before the workload can have started, so that none is
// lost, and begins when there is somebody to hand them to. After the third request to end that had no effect the front goes, and
// the container with it.
func (p *preparation) forward(ctx context.Context) (stop func()) {
	if !p.SigProxy {
		cancel := context.AfterFunc(ctx, func() { p.end(syscall.SIGTERM) })
		return func() { cancel() }
	}
	ch := make(chan os.Signal, 64)
	signal.Notify(ch)
	if ctx.Err() != nil { // it came before this listened
		ch <- syscall.SIGTERM
	}
	go func() {
		<-p.handed
		requests := 0
		for s := range ch {
			n, ok := s.(syscall.Signal)
			if !ok {
				continue
			}
			if aboutUs(n) {
				continue
			}
			switch n {
			case syscall.SIGINT, syscall.SIGTERM:
				if requests++; requests == 3 {
					p.Notice("got 3 SIGTERM/SIGINTs, forcefully exiting")
					if p.Loose {
						p.end(n)
						continue
					}
					n = syscall.SIGKILL
				}
			case syscall.SIGHUP:
				if p.Flags.Terminal { // the caller's is gone, and the container's with it
					p.hangUp()
					continue
				}
			}
			p.child.Socket.Send([]byte{monitor.MsgSignal, byte(n)})
		}
	}()
	// Not stopped: to restore 65 handlers takes milliseconds, and the process is about to end.
	return func() {}
}

// letGo is what frees the container from its front: that leaves, or looks on.
func (p *preparation) letGo() []byte {
	if p.Loose {
		return []byte{monitor.MsgDetach, 1}
	}
	return []byte{monitor.MsgDetach}
}

// end ends the container at once because the front was to end by a signal, which
// becomes the exit status. A container that does not need its front goes on.
func (p *preparation) end(why syscall.Signal) {
	p.ended = why
	if p.Loose {
		p.child.Socket.Send([]byte{monitor.MsgDetach})
		return
	}
	p.child.Socket.Send([]byte{monitor.MsgSignal, byte(syscall.SIGKILL)})
}

// hangUp tells the workload that its terminal is gone, and ends what does not
// care: nobody could reach it any more.
func (p *preparation) hangUp() {
	p.hung.Do(func() {
		if p.Loose {
			p.end(syscall.SIGHUP)
			return
		}
		p.child.Socket.Send([]byte{monitor.MsgSignal, byte(syscall.SIGHUP)})
		time.AfterFunc(hangUpGrace, func() { p.end(syscall.SIGHUP) })
	})
}

const hangUpGrace = 2 * time.Second
