// Package logs keeps what a container's workload writes, in docker's format
// json-file: one JSON object a line.
//
//	{"log":"hello\n","stream":"stdout","time":"2026-01-02T15:04:05.123456789Z"}
//
// A line longer than 16 KiB becomes several objects, of which only the last ends
// in a newline, as docker has it. Bytes that are no UTF-8 are kept, too: see [quote].
//
// A log never holds the workload up for the sake of a disk: what cannot be written
// is dropped, and a marker says how much, when there is room again.
package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxLine is the longest piece of one line in one object.
const maxLine = 16 << 10

// Log is a log that is being written.
type Log struct {
	mu      sync.Mutex
	file    *os.File
	buf     []byte
	size    int64 // of the file
	dropped int64
}

// Create begins a log, or goes on with one.
func Create(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Log{file: f, size: size}, nil
}

// Copy takes lines from a pipe until it ends, and closes it. Every byte goes to tee as it comes.
// A nil log only does that.
func (l *Log) Copy(stream string, from io.ReadCloser, tee func([]byte)) {
	defer from.Close()
	buf := make([]byte, 4*maxLine)
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

// add writes the lines of b, and at the end what is left; it tells how much that was.
func (l *Log) add(stream string, b []byte, end bool) (done int) {
	now := time.Now().UTC()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = l.buf[:0]
	if l.dropped > 0 {
		l.buf = object(l.buf, "stderr", fmt.Appendf(nil, "[rl: %d bytes could not be logged]\n", l.dropped), now)
	}
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
			l.write(done)
			return done
		}
		l.buf = object(l.buf, stream, rest[:n], now)
		done += n
	}
	l.write(done)
	return done
}

// write writes what was put together, which is so much of the workload's.
func (l *Log) write(bytes int) {
	if bytes == 0 {
		return
	}
	n, err := l.file.Write(l.buf)
	if err != nil {
		l.file.Truncate(l.size) // half an object would spoil the next
		l.dropped += int64(bytes)
		return
	}
	l.size += int64(n)
	l.dropped = 0
}

func object(b []byte, stream string, line []byte, t time.Time) []byte {
	b = append(b, `{"log":"`...)
	b = quote(b, line)
	b = append(b, `","stream":"`...)
	b = append(b, stream...)
	b = append(b, `","time":"`...)
	b = t.AppendFormat(b, time.RFC3339Nano)
	return append(b, "\"}\n"...)
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }
