package unpack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	"rl/oci"
	"rl/userns/sys/fault"
)

// reply is what the worker says at its end: a result, or an error in a form that
// survives the wall between processes.
type reply struct {
	Result Result
	Error  string        `json:",omitempty"`
	Hint   string        `json:",omitempty"`
	Code   int           `json:",omitempty"`
	Kind   string        `json:",omitempty"` // "corrupt": errors.Is oci.ErrCorrupt
	Errno  syscall.Errno `json:",omitempty"` // errors.Is ENOSPC and the like
}

const kindCorrupt = "corrupt"

func writeReply(w io.Writer, res Result, err error) error {
	r := reply{Result: res}
	if err != nil {
		r = reply{Error: err.Error()}
		var f *fault.Error
		if errors.As(err, &f) {
			r.Hint, r.Code = f.Hint, f.Code
		}
		if errors.Is(err, oci.ErrCorrupt) {
			r.Kind = kindCorrupt
		}
		errors.As(err, &r.Errno)
	}
	return json.NewEncoder(w).Encode(r)
}

// ReadReply reads what Main wrote to descriptor 4. The error is as good as the
// worker's own: its text, its remedy, and oci.ErrCorrupt and errnos for errors.Is.
func ReadReply(r io.Reader) (Result, error) {
	var rep reply
	if err := json.NewDecoder(r).Decode(&rep); err != nil {
		return Result{}, fmt.Errorf("the unpacking process ended without a word: %w", err)
	}
	if rep.Error == "" {
		return rep.Result, nil
	}
	var err error = &remoteError{text: rep.Error, corrupt: rep.Kind == kindCorrupt, errno: rep.Errno}
	if rep.Hint != "" || rep.Code != 0 {
		err = &fault.Error{Err: err, Hint: rep.Hint, Code: rep.Code}
	}
	return Result{}, err
}

// remoteError is an error of the worker.
type remoteError struct {
	text    string
	corrupt bool
	errno   syscall.Errno
}

func (e *remoteError) Error() string { return e.text }

func (e *remoteError) Unwrap() []error {
	var errs []error
	if e.corrupt {
		errs = append(errs, oci.ErrCorrupt)
	}
	if e.errno != 0 {
		errs = append(errs, e.errno)
	}
	return errs
}
