package run

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"rl/run/state"
	"rl/userns/sys/fault"
)

// notStarted notes why a container that is kept could not be started, for who inspects it. One
// that has never run is as it was created; the exit status says how it went, as docker has it.
func (e *Engine) notStarted(id string, first bool, why error) {
	if id == "" {
		return
	}
	rec, err := e.State.Read(id)
	if err != nil || rec.Remove {
		return
	}
	lock, err := e.State.Claim(rec, false)
	if err != nil { // somebody else started it, or it is gone
		return
	}
	defer lock.Close()
	dir := e.State.Dir(rec)
	// What cannot be written is not told; the container is there all the same.
	os.WriteFile(filepath.Join(dir, state.ErrorFile), []byte(strings.ReplaceAll(why.Error(), "\n", "; ")+"\n"), 0o600)
	exit := filepath.Join(dir, state.ExitFile)
	if _, err := os.Lstat(exit); err == nil || rec.Fresh { // it was refused before anything was touched
		return
	}
	text := strconv.Itoa(statusOf(why)) + " " + time.Now().UTC().Format(time.RFC3339Nano) + "\n"
	if os.WriteFile(exit, []byte(text), 0o600) == nil && first {
		state.Amend(dir, func(r *state.Record) { r.Fresh = true })
	}
}

// statusOf is the exit status of a failure.
func statusOf(err error) int {
	if f := new(fault.Error); errors.As(err, &f) && f.Code != 0 {
		return f.Code
	}
	return 125
}
