// Package logs keeps what a container's workload writes, and reads it again.
//
// The driver json-file has docker's format: one JSON object a line.
//
//	{"log":"hello\n","stream":"stdout","time":"2026-01-02T15:04:05.123456789Z"}
//
// A line longer than 16 KiB becomes several objects, of which only the last ends
// in a newline, as docker has it. Bytes that are no UTF-8 are kept, too: see [quote].
// A file that is as large as it may be becomes log.1, what was that log.2, and so on.
//
// A log never holds the workload up for the sake of a disk: what cannot be written
// is dropped, and a marker says how much, when there is room again. The driver
// journald sends the same lines to systemd's journal, on the same terms.
package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The drivers, by docker's names.
const (
	JSONFile    = "json-file"
	Journald    = "journald"
	None        = "none"
	Passthrough = "passthrough" // the workload has the caller's streams
)

// Config is where a container's log goes.
type Config struct {
	Driver  string // JSONFile or Journald; anything else keeps nothing
	Path    string
	MaxSize int64 // bytes of a file; 0: it grows for ever
	MaxFile int   // how many files there are then; 0 is 1
	// Compress has all files but the newest compressed.
	Compress bool
	Attrs    []Attr
	Fields   []Attr // of each of the journal's entries
	Socket   string // the journal's; "" is systemd's
}

// Attr is a label, a variable or a tag that goes with each line.
type Attr struct{ Key, Value string }

// maxLine is the longest piece of one line in one entry.
const maxLine = 16 << 10

// chunk is how much is read at once, and room what a pipe has for the workload to
// go on meanwhile.
const (
	chunk = 256 << 10
	room  = 1 << 20
)

// sink takes entries: pieces of lines of at most maxLine bytes.
type sink interface {
	entry(stream string, line []byte, now time.Time)
	flush() error // what was put together so far
	Close() error
}

// Log is a log that is being written. A nil one keeps nothing.
type Log struct {
	lock    chan struct{} // of one place: whoever writes has it
	to      sink
	dropped int64
}

// Open begins a log, or goes on with one. There is none where the driver keeps nothing.
func Open(c Config) (*Log, error) {
	var to sink
	var err error
	switch c.Driver {
	case JSONFile:
		to, err = openFile(c)
	case Journald:
		to, err = dialJournal(c)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &Log{to: to, lock: make(chan struct{}, 1)}, nil
}

// Copy takes lines from a pipe until it ends, and closes it. Every byte goes to tee as it comes.
func (l *Log) Copy(stream string, from io.ReadCloser, tee func([]byte)) {
	defer from.Close()
	widen(from)
	buf := make([]byte, chunk)
	kept := 0 // of a line that is not complete
	for {
		n, err := from.Read(buf[kept:])
		tee(buf[kept : kept+n])
		if l != nil {
			kept += n
			done := l.add(stream, buf[:kept], err != nil)
			kept = copy(buf, buf[done:kept])
		}
		if err != nil {
			return
		}
	}
}

// widen gives a pipe more room. Where that cannot be had, it works as it is.
func widen(r io.Reader) {
	f, ok := r.(*os.File)
	if !ok {
		return
	}
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, room) })
	}
}

// add writes the lines of b, and at the end what is left; it tells how much that was.
func (l *Log) add(stream string, b []byte, end bool) (done int) {
	now := time.Now().UTC()
	l.lock <- struct{}{}
	defer func() { <-l.lock }()
	if l.dropped > 0 {
		l.to.entry("stderr", fmt.Appendf(nil, "[rl: %d bytes could not be logged]\n", l.dropped), now)
		if l.to.flush() == nil {
			l.dropped = 0
		}
	}
	written := 0
	for done < len(b) {
		rest := b[done:]
		n := bytes.IndexByte(rest[:min(len(rest), maxLine)], '\n') + 1
		switch {
		case n > 0:
		case len(rest) >= maxLine:
			n = maxLine
		case end:
			n = len(rest)
		default:
			l.write(done - written)
			return done
		}
		l.to.entry(stream, rest[:n], now)
		done += n
		if done-written >= chunk/8 { // short lines become much longer ones
			l.write(done - written)
			written = done
		}
	}
	l.write(done - written)
	return done
}

// write writes what was put together, which is so much of the workload's.
func (l *Log) write(bytes int) {
	if bytes > 0 && l.to.flush() != nil {
		l.dropped += int64(bytes)
	}
}

// Close closes the log.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	return l.to.Close()
}
