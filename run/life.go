package run

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/monitor"
	"rl/run/plan/option"
	"rl/run/state"
	"rl/userns/sys/fault"
)

// stopTimeout is how long a workload has between the signal that asks it to end and
// SIGKILL, docker's time.
const stopTimeout = 10 * time.Second

// notRunning is docker's answer to what only a running container can do.
func notRunning(rec *state.Record) error {
	return fault.New("`rl ps` lists those that run", "container %s is not running", rec.Name)
}

// running finds a container that runs.
func (e *Engine) running(text string) (*state.Record, error) {
	rec, err := e.State.Find(text)
	if err == nil && !e.State.Running(rec.ID) {
		err = notRunning(rec)
	}
	return rec, err
}

// ask sends a running container's monitor a command. That nobody listens says that
// it has just ended.
func ask(rec *state.Record, msg []byte) error {
	_, err := monitor.Ask(rec.Control, msg)
	if nobody(err) {
		return notRunning(rec)
	}
	return err
}

// nobody tells whether nobody listened.
func nobody(err error) bool { return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT) }

// unless does what may wait for ever for a monitor, which somebody may have stopped, until ctx ends.
func unless(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// insist is ask for what ends a container. One that is just being started does not listen yet, and
// one that is ending not any more: that is waited for. To have ended is no error.
func (e *Engine) insist(ctx context.Context, rec *state.Record, msg []byte) error {
	for try := 0; ; try++ {
		err := e.askToEnd(ctx, rec.Control, msg)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil || !e.State.Running(rec.ID) {
			return nil
		}
		if !nobody(err) {
			return err
		}
		if try == insistTries {
			return fault.New("kill its process `rl __monitor`, which ends it", "container %s runs, but nobody listens at %s", rec.Name, rec.Control)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(insistPause):
		}
		if now, err := e.State.Read(rec.ID); err == nil { // a start may change where it listens
			rec = now
		}
	}
}

const (
	insistTries = 1500
	insistPause = 20 * time.Millisecond
)

// stuckTime is how long a monitor has to answer who wants its container killed.
const stuckTime = 10 * time.Second

// askToEnd is monitor.Ask until ctx ends. A monitor that does not answer to SIGKILL in its time, since
// somebody has stopped it, is killed itself.
func (e *Engine) askToEnd(ctx context.Context, control string, msg []byte) error {
	within := ctx
	if msg[0] == monitor.AskSignal && msg[1] == byte(unix.SIGKILL) {
		var cancel func()
		within, cancel = context.WithTimeout(ctx, stuckTime)
		defer cancel()
	}
	err := unless(within, func() error {
		_, err := monitor.Ask(control, msg)
		return err
	})
	if within.Err() == nil || ctx.Err() != nil {
		return err
	}
	e.Notice("the container's monitor does not answer, and was killed")
	return unless(ctx, func() error { return monitor.End(control) })
}

// Kill sends a running container a signal.
func (e *Engine) Kill(text string, sig int) error {
	rec, err := e.running(text)
	if err != nil {
		return err
	}
	return ask(rec, signalling(rec, sig))
}

// signalling is the message for a signal. A paused workload goes on for one that is to end
// it, as docker has it: any, unless another was said to be the one that does.
func signalling(rec *state.Record, sig int) []byte {
	how := byte(monitor.SignalThaws)
	if stop, err := option.ParseSignal(rec.StopSignal); rec.StopSignal != "" && err == nil && sig != stop && sig != int(unix.SIGKILL) {
		how = 0
	}
	return []byte{monitor.AskSignal, byte(sig), how}
}

// Halt is how to end a container. Its zero value is the container's own way.
type Halt struct {
	Signal  int            // asks it to end
	Timeout *time.Duration // before SIGKILL; negative: never
}

// Stop asks a container to end, and ends it when it has not after a while. To stop
// one that has ended is no error.
func (e *Engine) Stop(ctx context.Context, text string, h Halt) error {
	rec, err := e.State.Find(text)
	if err != nil || !e.State.Running(rec.ID) {
		return err
	}
	sig := int(unix.SIGTERM)
	if h.Signal != 0 {
		sig = h.Signal
	} else if rec.StopSignal != "" {
		if sig, err = option.ParseSignal(rec.StopSignal); err != nil {
			return err
		}
	}
	patience := stopTimeout
	for _, t := range []*time.Duration{rec.StopTimeout, h.Timeout} {
		if t != nil {
			patience = *t
		}
	}
	ended := make(chan error, 1)
	go func() {
		_, err := e.wait(rec)
		ended <- err
	}()
	if err := e.insist(ctx, rec, []byte{monitor.AskSignal, byte(sig), monitor.SignalThaws | monitor.SignalStops}); err != nil {
		return err
	}
	after := time.After(patience)
	if patience < 0 {
		after = nil
	}
	select {
	case err := <-ended:
		e.tellOf(rec, "stop")
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-after:
	}
	if err := e.insist(ctx, rec, []byte{monitor.AskSignal, byte(unix.SIGKILL)}); err != nil {
		return err
	}
	select {
	case err = <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	e.tellOf(rec, "stop")
	return err
}

// Wait waits until a container has ended and gives its exit status.
func (e *Engine) Wait(text string) (int, error) {
	rec, err := e.State.Find(text)
	if err != nil {
		return 0, err
	}
	if s, err := e.State.Status(rec); err == nil && s.Again {
		return s.Exit, nil
	}
	return e.waitFor(rec, true)
}

// wait waits until a container is over; with a restart policy that is not the next end.
func (e *Engine) wait(rec *state.Record) (int, error) { return e.waitFor(rec, false) }

func (e *Engine) waitFor(rec *state.Record, next bool) (int, error) {
	if e.State.Running(rec.ID) {
		if code, ok := monitor.WaitFor(rec.Control, next); ok {
			return code, nil
		}
		// It was killed, or this came too late. With the lock free it is over.
		lock, err := e.State.Claim(rec, true)
		if err == nil {
			lock.Close()
		} else if !errors.Is(err, os.ErrNotExist) {
			return 0, err
		}
	}
	s, err := e.State.Status(rec)
	return s.Exit, err
}

// inTheWay is why a container that runs is not removed.
func (e *Engine) inTheWay(rec *state.Record) error {
	if s, err := e.State.Status(rec); err == nil && s.Paused {
		return fault.New("`rl unpause` lets it go on, --force removes it", "cannot remove container %q: container is paused and must be unpaused first", rec.Name)
	}
	return fault.New("stop it first, or use --force", "cannot remove container %q: container is running", rec.Name)
}

// Remove removes a container; with force also one that runs, with volumes also the anonymous
// ones that no other container uses.
func (e *Engine) Remove(text string, force, volumes bool) error {
	rec, err := e.State.Find(text)
	if err != nil && !errors.Is(err, state.ErrDamaged) {
		return err
	}
	if e.State.Running(rec.ID) {
		if !force {
			return e.inTheWay(rec)
		}
		if rec.Control == "" { // its record is damaged
			if rec.Control, err = e.controlOf(rec.ID); err != nil {
				return err
			}
		}
		ended := make(chan error, 1)
		go func() {
			_, err := e.wait(rec)
			ended <- err
		}()
		if err := e.insist(context.Background(), rec, []byte{monitor.AskSignal, byte(unix.SIGKILL)}); err != nil {
			return err
		}
		if err := <-ended; err != nil {
			return err
		}
	}
	lock, err := e.State.Claim(rec, true)
	if errors.Is(err, os.ErrNotExist) { // its monitor removed it (--rm), or somebody else did
		return e.State.Forget(rec)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	e.mourn(rec)
	if volumes {
		if err := e.dropVolumes(rec); err != nil {
			return err
		}
	}
	if err := e.discard(rec); err != nil {
		return err
	}
	if !rec.Remove || rec.Fresh {
		e.tellOf(rec, "destroy")
	}
	return nil
}
