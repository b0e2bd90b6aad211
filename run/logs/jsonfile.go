package logs

import (
	"errors"
	"io"
	"os"
	"strconv"
	"time"
)

// jsonFile writes docker's json-file.
type jsonFile struct {
	path    string
	file    *os.File
	size    int64 // of the file
	max     int64
	files   int
	buf     []byte
	attrs   []byte // as they stand in each object
	failed  error  // of a write within one entry
	now     time.Time
	written []byte // now, as text
	zip     bool   // what was rotated is compressed
	zipper  compressor
}

func openFile(c Config) (*jsonFile, error) {
	w := &jsonFile{path: c.Path, max: c.MaxSize, files: max(c.MaxFile, 1), zip: c.Compress}
	before := `,"attrs":{"`
	for _, a := range c.Attrs {
		w.attrs = append(quote(append(w.attrs, before...), []byte(a.Key)), `":"`...)
		w.attrs = append(quote(w.attrs, []byte(a.Value)), '"')
		before = `,"`
	}
	if len(c.Attrs) > 0 {
		w.attrs = append(w.attrs, '}')
	}
	return w, w.open()
}

// open opens the newest file. What a writer that was killed left half is ended, or it
// would spoil the next entry.
func (w *jsonFile) open() error {
	f, err := os.OpenFile(w.path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	w.size, err = f.Seek(0, io.SeekEnd)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	var last [1]byte
	if w.size > 0 {
		if _, err := f.ReadAt(last[:], w.size-1); err == nil && last[0] != '\n' {
			w.buf = append(w.buf, '\n')
		}
	}
	w.file = f
	return nil
}

func (w *jsonFile) entry(stream string, line []byte, now time.Time) {
	if w.max > 0 && w.size+int64(len(w.buf)) >= w.max {
		if err := w.flush(); err != nil {
			w.failed = err
		}
		w.rotate()
	}
	if now != w.now {
		w.now, w.written = now, now.AppendFormat(w.written[:0], time.RFC3339Nano)
	}
	b := append(w.buf, `{"log":"`...)
	b = quote(b, line)
	b = append(b, `","stream":"`...)
	b = append(b, stream...)
	b = append(b, '"')
	b = append(b, w.attrs...)
	b = append(b, `,"time":"`...)
	b = append(b, w.written...)
	w.buf = append(b, "\"}\n"...)
}

// flush writes all or nothing: half an object would spoil the next.
func (w *jsonFile) flush() error {
	err := w.failed
	w.failed = nil
	if len(w.buf) == 0 {
		return err
	}
	n, e := w.file.Write(w.buf)
	w.buf = w.buf[:0]
	if e != nil {
		return errors.Join(err, e, w.file.Truncate(w.size))
	}
	w.size += int64(n)
	return err
}

// rotate begins a new file. Where that fails the old one grows on.
func (w *jsonFile) rotate() {
	if w.files == 1 {
		if w.file.Truncate(0) == nil {
			w.size = 0
		}
		return
	}
	w.zipper.stop()
	for i := w.files - 1; i > 1; i-- {
		os.Rename(rotated(w.path, i-1), rotated(w.path, i))
		if w.zip { // each place has what the one before had, and not the other kind besides
			move(rotated(w.path, i-1)+suffix, rotated(w.path, i)+suffix)
		}
	}
	if os.Rename(w.path, rotated(w.path, 1)) != nil {
		return
	}
	old, size := w.file, w.size
	if w.open() != nil {
		w.file, w.size = old, size
		return
	}
	old.Close()
	if w.zip {
		os.Remove(rotated(w.path, 1) + suffix)
		w.zipper.begin(w.path, w.files)
	}
}

// move renames a file; where there is none, neither is there one then.
func move(from, to string) {
	if errors.Is(os.Rename(from, to), os.ErrNotExist) {
		os.Remove(to)
	}
}

// rotated is the name of a file that was the newest n rotations ago.
func rotated(path string, n int) string {
	if n == 0 {
		return path
	}
	return path + "." + strconv.Itoa(n)
}

func (w *jsonFile) Close() error {
	w.zipper.stop()
	return w.file.Close()
}
