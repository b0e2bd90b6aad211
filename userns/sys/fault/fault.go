// Package fault is how an error tells a person what to do about it.
//
// An error is text for what failed and why. Some know more: a remedy, or an
// exit code that docker's users expect (126, 127). Such errors are wrapped in
// an [Error]; the command line, which alone prints, finds it with errors.As.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

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

// Message is an error for another process of rl: a byte of exit status, what failed,
// and the remedy in a second line, at most so many bytes. [Received] is the way back.
func Message(err error, most int) []byte {
	code := 125
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	var f *Error
	if errors.As(err, &f) {
		if f.Code != 0 {
			code = f.Code
		}
		if f.Hint != "" {
			text += "\n" + f.Hint
		}
	}
	return append([]byte{byte(code)}, text[:min(len(text), most)]...)
}

// Received is the error of a message that has one.
func Received(msg []byte) *Error {
	if len(msg) < 2 {
		return New("", "the message of a failure was cut")
	}
	what, hint, _ := strings.Cut(string(msg[1:]), "\n")
	return WithCode(int(msg[0]), hint, "%s", what)
}
