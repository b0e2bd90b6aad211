package run

import (
	"encoding/json"
	"errors"

	"golang.org/x/sys/unix"

	"rl/run/state"
)

// change changes what a container is to be: its monitor does while it runs, who is told
// what and the new values; otherwise amend changes the record, for the next start.
func (e *Engine) change(rec *state.Record, what byte, values any, amend func(*state.Record) error) error {
	msg, err := json.Marshal(values)
	if err != nil {
		return err
	}
	for range 16 { // it may start or end in between
		if e.State.Running(rec.ID) {
			err = ask(rec, append([]byte{what}, msg...))
			if err == nil || e.State.Running(rec.ID) {
				return err
			}
		}
		lock, err := e.State.Claim(rec, false)
		if errors.Is(err, unix.EWOULDBLOCK) {
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
	return notRunning(rec)
}
