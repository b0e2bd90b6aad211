// Package fault is how an error tells a person what to do about it.
//
// An error is text for what failed and why. Some know more: a remedy, or an
// exit code that docker's users expect (126, 127). Such errors are wrapped in
// an [Error]; the command line, which alone prints, finds it with errors.As.
package fault

import "fmt"

// Error is an error with a remedy and an exit code.
type Error struct {
	Err  error
	Hint string // what to do about it, or ""
	Code int    // exit status; 0 means 125, rl's own failure
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap gives the wrapped error to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of the given format, with a hint.
func New(hint, format string, args ...any) *Error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint}
}

// WithCode makes an error with an exit status of its own.
func WithCode(code int, hint, format string, args ...any) *Error {
	return &Error{Err: fmt.Errorf(format, args...), Hint: hint, Code: code}
}
