// Package events keeps what happens to containers, images, volumes and networks,
// for `rl events` to show.
//
// There is nobody to ask, so there is a journal: a file in the runtime directory, which
// is memory, to which every process of rl appends a line for what it did.
//
//	events-<store>/events      written to now; each event is one write(2) with O_APPEND
//	               events.7    written to before: when a file is full it is renamed
//	               events.6    of which the last few are kept
//
// A writer takes no lock and waits for nobody. A line is begun by a newline as well as
// ended by one, so that one which a full disk cut in two spoils no other. A reader keeps the files
// open whose lines it has not seen, by their inodes: one that is renamed, or removed,
// or still being written to by a slow process, loses nothing.
//
// What cannot be written is dropped: no container suffers for its journal. As it lies in
// memory, it begins anew with each boot.
package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// The types of things that events are about.
const (
	Container = "container"
	Image     = "image"
	Network   = "network"
	Volume    = "volume"
)

// Event is one thing that happened, in docker's terms.
type Event struct {
	Type       string            `json:"y"`
	Action     string            `json:"a"` // create, start, die, health_status: healthy…
	ID         string            `json:"i"` // of what it happened to; of an image also its name
	Attributes map[string]string `json:"m,omitempty"`
	Nano       int64             `json:"t"` // since 1970; 0: now
}

// Time is when it happened.
func (e *Event) Time() time.Time { return time.Unix(0, e.Nano) }

// New is an event of now. More are its attributes, name and value in turn.
func New(kind, action, id string, attributes map[string]string, more ...string) Event {
	e := Event{Type: kind, Action: action, ID: id, Nano: time.Now().UnixNano(), Attributes: make(map[string]string, len(attributes)+len(more)/2)}
	for k, v := range attributes {
		e.Attributes[k] = v
	}
	for i := 0; i+1 < len(more); i += 2 {
		e.Attributes[more[i]] = more[i+1]
	}
	return e
}

// OfVolume is an event of a volume. More are attributes besides its driver, name and value in turn.
func OfVolume(action, name string, more ...string) Event {
	return New(Volume, action, name, map[string]string{"driver": "local"}, more...)
}

// Journal is the directory that one store's events are kept in; "" keeps none.
type Journal string

// For is the journal of a store.
func For(runtimeDir, storeRoot string) Journal {
	h := fnv.New64a()
	h.Write([]byte(storeRoot))
	return Journal(filepath.Join(runtimeDir, fmt.Sprintf("events-%016x", h.Sum64())))
}

const (
	current  = "events"
	maxLine  = 64 << 10  // bytes of an event: labels may be of any length
	fullFile = 512 << 10 // bytes; then the next one is begun
	keepFull = 3         // files that were renamed
)

// Add writes events, all of them at once.
func (j Journal) Add(list ...Event) error {
	if j == "" || len(list) == 0 {
		return nil
	}
	var buf []byte
	for _, e := range list {
		line, err := e.line()
		if err != nil {
			return err
		}
		buf = append(append(append(buf, '\n'), line...), '\n')
	}
	st, err := j.write(buf)
	if err == nil && st.Size > fullFile {
		err = j.rotate(&st)
	}
	return err
}

// line is the event without its labels when these make it too long.
func (e Event) line() ([]byte, error) {
	if e.Nano == 0 {
		e.Nano = time.Now().UnixNano()
	}
	line, err := json.Marshal(&e)
	if err != nil || len(line) <= maxLine {
		return line, err
	}
	short := map[string]string{}
	for k, v := range e.Attributes {
		if len(k)+len(v) < maxLine/64 && len(short) < 32 || k == "name" || k == "image" {
			short[k] = v[:min(len(v), maxLine/64)]
		}
	}
	e.Action, e.Attributes = e.Action[:min(len(e.Action), maxLine/8)], short
	return json.Marshal(&e)
}

// write appends to the current file, by bare system calls: every start and every end
// of a container pays them.
func (j Journal) write(buf []byte) (st unix.Stat_t, err error) {
	const how = unix.O_WRONLY | unix.O_APPEND | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NOFOLLOW
	path := filepath.Join(string(j), current)
	fd, err := unix.Open(path, how, 0o600)
	if errors.Is(err, unix.ENOENT) {
		if err = unix.Mkdir(string(j), 0o700); errors.Is(err, unix.ENOENT) {
			if err = unix.Mkdir(filepath.Dir(string(j)), 0o700); err == nil {
				err = unix.Mkdir(string(j), 0o700)
			}
		}
		if err == nil || errors.Is(err, unix.EEXIST) {
			fd, err = unix.Open(path, how, 0o600)
		}
	}
	if err != nil {
		return st, fmt.Errorf("write to the journal of events: %w", err)
	}
	defer unix.Close(fd)
	n, err := unix.Write(fd, buf)
	if err == nil && n < len(buf) {
		err = unix.ENOSPC
	}
	if err != nil {
		return st, fmt.Errorf("write to the journal of events: %w", err)
	}
	return st, unix.Fstat(fd, &st)
}
