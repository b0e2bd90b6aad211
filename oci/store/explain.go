package store

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"rl/oci"
	"rl/userns/sys/fault"
)

// explain adds the sentence of what failed and, for what a person can mend, the
// remedy. An error that has its remedy already keeps it.
func (s *Store) explain(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	var known *fault.Error
	if errors.As(err, &known) {
		return wrapped
	}
	hint := ""
	switch {
	case errors.Is(err, unix.ENOSPC):
		hint = fmt.Sprintf("free some space on the disk of %s (\"rl rmi\" removes images), or set RL_ROOT to a directory on a larger one", s.root)
	case errors.Is(err, unix.EDQUOT):
		hint = fmt.Sprintf("your disk quota is used up: free some space below %s, or set RL_ROOT to a directory elsewhere", s.root)
	case errors.Is(err, unix.EROFS):
		hint = "set RL_ROOT to a directory on a filesystem that can be written"
	case errors.Is(err, fs.ErrPermission):
		hint = "set RL_ROOT to a directory that you own"
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, fs.ErrNotExist):
		hint = "set RL_ROOT to a directory that can be created"
	default:
		return wrapped
	}
	return &fault.Error{Err: wrapped, Hint: hint}
}

// corrupt is an error about bytes on disk that are not what they should be.
func corrupt(hint, format string, args ...any) error {
	return fault.New(hint, "%s: %w", fmt.Sprintf(format, args...), oci.ErrCorrupt)
}
