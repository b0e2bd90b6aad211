package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// Want says what of a log is to be read. Its zero value is all of it.
type Want struct {
	Tail         int // at most so many of the last lines; negative or 0 with All
	All          bool
	Since, Until time.Time
	Follow       func() bool // go on as long as it is true; nil: do not
}

// longest is the longest object: each byte may have become an escape, and attributes follow.
// What is longer was not written by anybody.
const longest = 1 << 20

// Read gives the entries of a log in order, those of older files first. It tells how many pieces of it
// could not be read: a writer that was killed, or a broken disk, left them.
func Read(ctx context.Context, path string, w Want, each func(*Entry) error) (damaged int, err error) {
	files, err := openAll(path)
	if err != nil {
		return 0, err
	}
	r := &reader{path: path, want: w, each: each, rest: files}
	defer r.close()
	if !w.All {
		if err := r.skip(w.Tail); err != nil {
			return 0, err
		}
	}
	for {
		if err := r.read(ctx); err != nil {
			if err == errStop {
				err = nil
			}
			return r.damaged, err
		}
		if !r.next() {
			return r.damaged, nil
		}
	}
}

// errStop is an end before that of the log.
var errStop = errors.New("enough was read")

// reader goes through the files of a log, oldest first.
type reader struct {
	path    string
	want    Want
	each    func(*Entry) error
	rest    []*source // the first is being read
	entry   Entry
	half    []byte // of an object
	lost    bool   // it is too long to be one
	damaged int
}

func (r *reader) close() {
	for _, f := range r.rest {
		f.Close()
	}
}

// openAll opens all files of a log, oldest first. They are looked for newest first: when one is
// renamed meanwhile, it is found twice and not missed. One may be missing: a rotation is between
// two of its steps, or was killed there.
func openAll(path string) (files []*source, err error) {
	for n, missing := 0, 0; missing < 2; n++ {
		f, err := openSource(path, n)
		if errors.Is(err, os.ErrNotExist) {
			missing++
			continue
		}
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, err
		}
		missing = 0
		if len(files) > 0 && files[0].same(f) {
			f.Close()
			continue
		}
		files = append([]*source{f}, files...)
	}
	if len(files) == 0 {
		return nil, os.ErrNotExist
	}
	return files, nil
}

// read reads one file to its end; the newest, while it is being written, to the end of that.
func (r *reader) read(ctx context.Context) error {
	f := r.rest[0]
	in, err := f.entries()
	if err != nil {
		return r.spoilt(err)
	}
	b := bufio.NewReaderSize(in, 256<<10)
	for {
		line, err := b.ReadSlice('\n')
		switch {
		case err == nil && len(r.half) == 0 && !r.lost: // as it is nearly always
			if err := r.object(line); err != nil {
				return err
			}
		case err == nil:
			r.keep(line)
			if err := r.object(r.half); err != nil {
				return err
			}
			r.half, r.lost = r.half[:0], false
		case errors.Is(err, bufio.ErrBufferFull):
			r.keep(line)
		case err != io.EOF:
			if f.zipped {
				err = errDamaged
			}
			return r.spoilt(err)
		default:
			r.keep(line)
			switch more, err := r.wait(ctx, f, b); {
			case err != nil:
				return err
			case !more:
				if len(r.half) > 0 || r.lost {
					r.damaged++
				}
				r.half, r.lost = r.half[:0], false
				return nil
			}
		}
	}
}

// spoilt is the end of a file that cannot be read further: of a compressed one the rest is lost,
// and not that of the others.
func (r *reader) spoilt(err error) error {
	if err != errDamaged {
		return err
	}
	r.half, r.lost = r.half[:0], false
	r.damaged++
	return nil
}

func (r *reader) keep(piece []byte) {
	if r.lost = r.lost || len(r.half)+len(piece) > longest; r.lost {
		r.half = r.half[:0]
		return
	}
	r.half = append(r.half, piece...)
}

// object hands one entry on.
func (r *reader) object(line []byte) error {
	if len(line) <= 1 && !r.lost {
		return nil // ends what was left half
	}
	if f := r.rest[0]; f.drop > 0 {
		if r.lost || ends(line) {
			f.drop--
		}
		return nil
	}
	e := &r.entry
	err := errEntry
	if !r.lost {
		err = e.parse(line)
	}
	if err != nil {
		r.damaged++
		// Something that was left half, or never reached the disk, may stand before an entry that is whole.
		i := bytes.LastIndex(line, before)
		if i <= 0 || r.lost || e.parse(line[i:]) != nil {
			return nil
		}
	}
	if w := &r.want; !w.Since.IsZero() && e.Time.Before(w.Since) {
		return nil
	} else if !w.Until.IsZero() && e.Time.After(w.Until) {
		if w.Follow != nil {
			return errStop
		}
		return nil
	}
	return r.each(e)
}

// poll is how often a log is looked at that is being followed.
const poll = 50 * time.Millisecond

// wait is at the end of a file: it tells whether there is, or may come, more of it.
func (r *reader) wait(ctx context.Context, f *source, b *bufio.Reader) (more bool, err error) {
	if len(r.rest) > 1 || f.zipped {
		return false, nil
	}
	alive := r.want.Follow != nil && r.want.Follow()
	moved := alive && r.moved(f)
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return false, err
	}
	st, err := f.Stat()
	if err != nil {
		return false, err
	}
	switch {
	case st.Size() > at: // written between our reading and its end
		return true, nil
	case st.Size() < at && alive: // begun anew: there is one file only
		_, err := f.Seek(0, io.SeekStart)
		b.Reset(f)
		r.half = r.half[:0]
		return true, err
	case !alive || moved:
		return false, nil
	}
	select {
	case <-ctx.Done():
		return false, errStop
	case <-time.After(poll):
	}
	if u := r.want.Until; !u.IsZero() && time.Now().After(u) {
		return false, errStop
	}
	return true, nil
}

// moved tells whether a file is not the newest any more.
func (r *reader) moved(f *source) bool {
	newest, err := os.Stat(r.path)
	if err != nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && !os.SameFile(newest, st)
}

// next goes to the file after the one that was read.
func (r *reader) next() bool {
	old := r.rest[0]
	defer old.Close()
	if len(r.rest) > 1 {
		r.rest = r.rest[1:]
		return true
	}
	if r.want.Follow == nil || !r.moved(old) {
		r.rest = nil
		return false
	}
	files, err := openAll(r.path)
	if err != nil {
		r.rest = nil
		return false
	}
	// The newest: inodes are used again.
	for i := len(files) - 1; i >= 0; i-- {
		if files[i].same(old) {
			for _, f := range files[:i+1] {
				f.Close()
			}
			files = files[i+1:]
			break
		}
	}
	r.rest = files
	return len(files) > 0
}
