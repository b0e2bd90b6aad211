package logs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// journalSocket is where systemd-journald takes entries
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
const journalSocket = "/run/systemd/journal/socket"

// journal sends entries to systemd's journal, a datagram each, with the fields that
// docker's driver has.
type journal struct {
	fd     int
	to     *unix.SockaddrUnix
	fields []byte
	down   bool
	failed error
}

func dialJournal(c Config) (*journal, error) {
	if c.Socket == "" {
		c.Socket = journalSocket
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	j := &journal{fd: fd, to: &unix.SockaddrUnix{Name: c.Socket}}
	if err := unix.Connect(fd, j.to); err != nil {
		unix.Close(fd)
		return nil, fault.New("use --log-driver json-file", "connect to systemd's journal (%s): %w", c.Socket, err)
	}
	// A journal that does not read must not hold the workload up for long.
	wait := unix.NsecToTimeval(int64(time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	for _, f := range append(c.Fields, c.Attrs...) {
		j.fields = field(j.fields, fieldName(f.Key), []byte(f.Value))
	}
	return j, nil
}

// field adds one: as text, or with its length where it has lines.
func field(b []byte, name string, value []byte) []byte {
	b = append(b, name...)
	if bytes.IndexByte(value, '\n') < 0 {
		return append(append(append(b, '='), value...), '\n')
	}
	b = binary.LittleEndian.AppendUint64(append(b, '\n'), uint64(len(value)))
	return append(append(b, value...), '\n')
}

// fieldName makes a label's or variable's name one that the journal takes, as docker does.
func fieldName(s string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		}
		return '_'
	}, s)
	return strings.TrimLeft(name, "_")
}

func (j *journal) entry(stream string, line []byte, now time.Time) {
	priority := "6"
	if stream == "stderr" {
		priority = "3"
	}
	text, whole := bytes.CutSuffix(line, []byte("\n"))
	if whole && len(text) == 0 {
		return // the journal takes no empty messages, nor does docker's driver send any
	}
	b := field(nil, "MESSAGE", text)
	b = append(b, "PRIORITY="+priority+"\nSYSLOG_TIMESTAMP="+now.Format(time.RFC3339Nano)+"\n"...)
	if !whole && len(line) == maxLine {
		b = append(b, "CONTAINER_PARTIAL_MESSAGE=true\n"...)
	}
	b = append(b, j.fields...)
	flags := unix.MSG_NOSIGNAL
	if j.down { // it was waited for already
		flags |= unix.MSG_DONTWAIT
	}
	for {
		err := unix.Sendto(j.fd, b, flags, nil)
		if err == unix.EINTR {
			continue
		}
		if err == unix.ECONNREFUSED || err == unix.ENOTCONN { // journald was started anew
			if unix.Connect(j.fd, j.to) == nil {
				err = unix.Sendto(j.fd, b, flags|unix.MSG_DONTWAIT, nil)
			}
		}
		if j.down = err != nil; j.down {
			j.failed = fmt.Errorf("write to the journal: %w", err)
		}
		return
	}
}

func (j *journal) flush() error {
	err := j.failed
	j.failed = nil
	return err
}

func (j *journal) Close() error { return unix.Close(j.fd) }
