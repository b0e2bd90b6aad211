package run

import (
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/state"
	"rl/userns/sys/fault"
)

// change changes what a container is to be: its monitor does while it runs, who is told
// what and the new values; otherwise amend changes the record, for the next start.
func (e *Engine) change(rec *state.Record, what byte, values any, amend func(*state.Record) error) error {
	msg, err := json.Marshal(values)
	if err != nil {
		return err
	}
	for range 100 { // it may start or end in between, or be looked at
		if e.State.Running(rec.ID) {
			err = ask(rec, append([]byte{what}, msg...))
			if err == nil || e.State.Running(rec.ID) {
				return err
			}
		}
		lock, err := e.State.Claim(rec, false)
		if errors.Is(err, unix.EWOULDBLOCK) {
			time.Sleep(insistPause)
			continue
		}
		if err != nil {
			return err
		}
		defer lock.Close()
		var wrong error
		err = state.Amend(e.State.Dir(rec), func(r *state.Record) { wrong = amend(r) })
		if err = errors.Join(wrong, err); err == nil {
			e.tellOf(rec, "update")
		}
		return err
	}
	return fault.New("wait for `rl cp`, `rl export` or `rl diff` to end", "container %s cannot be changed: it is being read or written", rec.Name)
}
