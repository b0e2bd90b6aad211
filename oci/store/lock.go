package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// errLocked says that somebody living holds the lock.
var errLocked = errors.New("locked by another process")

// lock is a held flock on a file below locks/. The file exists only while somebody
// holds or waits for it.
type lock struct {
	file *os.File
	path string
}

// acquire waits for the lock of the given name. It polls, so that the context is
// obeyed: a blocked flock(2) cannot be called off without a signal.
func (s *Store) acquire(ctx context.Context, name string) (*lock, error) {
	wait := time.Millisecond
	for {
		l, err := s.tryAcquire(name)
		if !errors.Is(err, errLocked) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the lock %s: %w", name, context.Cause(ctx))
		case <-time.After(wait):
		}
		wait = min(2*wait, 30*time.Millisecond)
	}
}

// tryAcquire takes the lock, or returns errLocked.
func (s *Store) tryAcquire(name string) (*lock, error) {
	path := s.path("locks", name)
	for {
		f, err := openOrCreate(path)
		if err != nil {
			return nil, s.explain(err, "cannot lock the image store")
		}
		err = flock(f, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && sameFile(f, path) {
			return &lock{file: f, path: path}, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
		// The holder removed the file between our open and our flock: what we
		// locked has no name any more, and a newcomer could lock another one.
	}
}

// release removes the lock file, then lets go of the lock: in this order nobody can
// hold the lock of a file that is about to lose its name (see tryAcquire).
func (l *lock) release() {
	os.Remove(l.path)
	l.file.Close()
}

func (s *Store) withIndexLock(fn func() error) error {
	l, err := s.acquire(context.Background(), "index")
	if err != nil {
		return err
	}
	defer l.release()
	return fn()
}

func openOrCreate(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	}
	return f, err
}

// flock locks an open file or directory: an open file description owns the lock, so
// that two goroutines of one process exclude each other just as two processes do,
// and the kernel frees it with the last descriptor, however its owner ended.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return errLocked
		case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EBADF):
			return fault.New("put the store on a local disk: set RL_ROOT to a directory there",
				"cannot lock %s: the filesystem does not support flock: %w", f.Name(), err)
		default:
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// sameFile tells whether path still names the open file.
func sameFile(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}
