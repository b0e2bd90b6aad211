package events

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Want is what a reader wants of the events.
type Want struct {
	Since  time.Time // zero: with Follow from now on, else all there are
	Until  time.Time // zero: for ever, with Follow
	Follow bool
	Lost   func() // told when files went before they could be read; nil is not told
}

// Read gives the events to each: those that were in the order in which they happened, what
// comes then in that in which it is written. With
// Follow it goes on until Until, or until ctx ends, which is no error.
func (j Journal) Read(ctx context.Context, w Want, each func(Event) error) error {
	if w.Since.IsZero() && w.Follow && w.Until.IsZero() {
		w.Since = time.Now()
	}
	// What was before is told in its order: who writes several events writes them at once.
	var before []Event
	r := &reader{Journal: j, want: w, each: func(e Event) error { before = append(before, e); return nil }}
	defer r.close()
	past := func() error {
		slices.SortStableFunc(before, func(x, y Event) int { return cmp.Compare(x.Nano, y.Nano) })
		for _, e := range before {
			if err := each(e); err != nil {
				return err
			}
		}
		r.each, before = each, nil
		return nil
	}
	follow := w.Follow && (w.Until.IsZero() || time.Now().Before(w.Until))
	if !follow {
		if err := r.all(); err != nil {
			return err
		}
		if err := r.all(); err != nil { // what was renamed between listing and opening
			return err
		}
		return past()
	}
	if err := os.MkdirAll(string(j), 0o700); err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	watch, err := watch(string(j)) // first, so that nothing comes in between
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	defer watch.Close()
	if !w.Until.IsZero() {
		watch.SetReadDeadline(w.Until)
	}
	stop := context.AfterFunc(ctx, func() { watch.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, 4096)
	if err := r.all(); err != nil {
		return err
	}
	if err := past(); err != nil {
		return err
	}
	for {
		if err := r.all(); err != nil {
			return err
		}
		_, err := watch.Read(buf) // what it says does not matter: all is looked at
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return r.all()
		}
		if err != nil {
			return fmt.Errorf("follow events: %w", err)
		}
	}
}

func watch(dir string) (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		_, err = unix.InotifyAddWatch(fd, dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_TO)
		if err != nil {
			unix.Close(fd)
		}
	}
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENOSPC):
		return nil, fmt.Errorf("inotify: %w: a limit in /proc/sys/fs/inotify is reached", err)
	case err != nil:
		return nil, fmt.Errorf("inotify: %w", err)
	}
	return os.NewFile(uintptr(fd), "inotify"), nil
}

// reader has open what it has begun to read.
type reader struct {
	Journal
	want  Want
	each  func(Event) error
	files []*file
}

// file is one file of the journal, until it is removed.
type file struct {
	*os.File
	info os.FileInfo
	rest []byte // the beginning of a line
}

// all reads what is new in every file, the oldest first.
func (r *reader) all() error {
	if err := r.look(); err != nil {
		return err
	}
	for _, f := range r.files {
		if err := r.read(f); err != nil {
			return err
		}
	}
	return nil
}

// look opens the files that are new, and lets go of those that are gone and read.
func (r *reader) look() error {
	full, err := r.full()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	last := r.newest()
	kept := r.files[:0]
	for _, f := range r.files {
		var st unix.Stat_t
		if unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink > 0 {
			kept = append(kept, f)
			continue
		}
		if err := r.read(f); err != nil {
			return err
		}
		if f == last && r.want.Lost != nil {
			r.want.Lost()
		}
		f.Close()
	}
	r.files = kept
	for _, n := range append(full, 0) {
		if err := r.open(r.file(n)); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) newest() *file {
	if len(r.files) == 0 {
		return nil
	}
	return r.files[len(r.files)-1]
}

// open opens a file that is not open already, by whatever name it was then.
func (r *reader) open(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return err
	}
	for _, have := range r.files {
		if os.SameFile(have.info, info) {
			return f.Close()
		}
	}
	r.files = append(r.files, &file{File: f, info: info})
	return nil
}

// read gives the lines that a file has more than before. What is no event is left
// out: a full disk cut it.
func (r *reader) read(f *file) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		data := append(f.rest, buf[:n]...)
		for {
			line, rest, whole := bytes.Cut(data, []byte{'\n'})
			if !whole {
				break
			}
			data = rest
			var e Event
			if len(line) == 0 || json.Unmarshal(line, &e) != nil || e.Type == "" {
				continue
			}
			if r.wanted(&e) {
				if err := r.each(e); err != nil {
					return err
				}
			}
		}
		if f.rest = append([]byte(nil), data...); len(f.rest) > 2*maxLine { // nothing that we write
			f.rest = nil
		}
		if err == io.EOF || err == nil && n == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
	}
}

func (r *reader) wanted(e *Event) bool {
	t := e.Time()
	return !t.Before(r.want.Since) && (r.want.Until.IsZero() || !t.After(r.want.Until))
}

func (r *reader) close() {
	for _, f := range r.files {
		f.Close()
	}
}
