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
	"bufio"
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
	dropped int64
	copies  sync.WaitGroup
}

// Create begins a log, or goes on with one.
func Create(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &Log{file: f}, nil
}

// Copy takes lines from a pipe until it ends, and closes it.
func (l *Log) Copy(stream string, from io.ReadCloser) {
	l.copies.Go(func() {
		defer from.Close()
		r := bufio.NewReaderSize(from, maxLine)
		for {
			line, err := r.ReadSlice('\n')
			if len(line) > 0 {
				l.add(stream, line)
			}
			if err != nil && err != bufio.ErrBufferFull {
				return
			}
		}
	})
}

func (l *Log) add(stream string, line []byte) {
	now := time.Now().UTC()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = l.buf[:0]
	if l.dropped > 0 {
		l.buf = object(l.buf, "stderr", fmt.Appendf(nil, "[rl: %d bytes could not be logged]\n", l.dropped), now)
	}
	l.buf = object(l.buf, stream, line, now)
	size, err := l.file.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = l.file.Write(l.buf)
	}
	if err != nil {
		l.file.Truncate(size) // half an object would spoil the next
		l.dropped += int64(len(line))
		return
	}
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

// Drain waits until all pipes have ended, at most so long: a process that outlived
// the workload cannot hold it up.
func (l *Log) Drain(most time.Duration) {
	done := make(chan bool)
	go func() {
		l.copies.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(most):
	}
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }
