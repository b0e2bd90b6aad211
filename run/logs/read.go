package logs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"
)

// Entry is a line, or a piece of one.
type Entry struct {
	Stream string
	Time   time.Time
	Text   []byte
}

// Want says what of a log is to be read. Its zero value is all of it.
type Want struct {
	Tail         int // at most so many of the last lines; negative or 0 with All
	All          bool
	Since, Until time.Time
	Follow       func() bool // go on as long as it is true; nil: do not
}

// Read gives the entries of a log in order.
func Read(ctx context.Context, path string, w Want, each func(Entry) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if !w.All {
		if err := seekTail(f, w.Tail); err != nil {
			return err
		}
	}
	r := bufio.NewReaderSize(f, 64<<10)
	var half []byte
	for {
		line, err := r.ReadSlice('\n')
		half = append(half, line...)
		switch {
		case err == nil:
			e, err := parse(half)
			half = half[:0]
			if err != nil || !w.Since.IsZero() && e.Time.Before(w.Since) || !w.Until.IsZero() && e.Time.After(w.Until) {
				continue // a damaged line is nobody's
			}
			if err := each(e); err != nil {
				return err
			}
		case errors.Is(err, bufio.ErrBufferFull):
		case err != io.EOF:
			return err
		default:
			alive := w.Follow != nil && w.Follow()
			if !alive && more(f, r) {
				continue // written between our reading and its end
			}
			if !alive {
				return nil
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// more tells whether something came after the end that was read.
func more(f *os.File, r *bufio.Reader) bool {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Size() > at-int64(r.Buffered())
}

func parse(line []byte) (e Entry, err error) {
	var raw struct {
		Log    json.RawMessage
		Stream string
		Time   time.Time
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return e, err
	}
	e.Stream, e.Time = raw.Stream, raw.Time
	e.Text, err = unquote(raw.Log)
	return e, err
}

// seekTail goes to where the last n lines begin.
func seekTail(f *os.File, n int) error {
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil || n <= 0 {
		return err
	}
	buf := make([]byte, 64<<10)
	seen := 0
	for at > 0 {
		size := min(int64(len(buf)), at)
		at -= size
		if _, err := f.ReadAt(buf[:size], at); err != nil && err != io.EOF {
			return err
		}
		for i := size - 1; i >= 0; i-- {
			if buf[i] != '\n' {
				continue
			}
			if seen++; seen > n {
				_, err := f.Seek(at+i+1, io.SeekStart)
				return err
			}
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return err
}
