package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

// Entry is a line, or a piece of one. Its text is valid until the next.
type Entry struct {
	Stream string
	Time   time.Time
	Text   []byte
	Attrs  []Attr // sorted
}

var errEntry = errors.New("not an entry of a log")

// before stands at the beginning of each entry that we, and docker, wrote.
var before = []byte(`{"log":"`)

// parse reads one object, into e. What we wrote ourselves is read fast; anything else that is
// docker's as JSON.
func (e *Entry) parse(line []byte) error {
	if e.fast(line) {
		return nil
	}
	var raw struct {
		Log    json.RawMessage
		Stream string
		Attrs  map[string]string
		Time   time.Time
	}
	if err := json.Unmarshal(line, &raw); err != nil {
		return err
	}
	if len(raw.Log) < 2 || raw.Log[0] != '"' {
		return errEntry
	}
	e.Stream, e.Time, e.Attrs = raw.Stream, raw.Time, nil
	for k, v := range raw.Attrs {
		e.Attrs = append(e.Attrs, Attr{k, v})
	}
	slices.SortFunc(e.Attrs, func(a, b Attr) int { return strings.Compare(a.Key, b.Key) })
	var err error
	e.Text, err = unquote(e.Text[:0], raw.Log[1:len(raw.Log)-1])
	return err
}

// fast reads what has no attributes and our order of keys.
func (e *Entry) fast(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, before)
	if !ok {
		return false
	}
	end := closing(rest)
	if end < 0 {
		return false
	}
	text := rest[:end]
	rest, ok = bytes.CutPrefix(rest[end:], []byte(`","stream":"std`))
	if !ok {
		return false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`out","time":"`)); ok {
		e.Stream = "stdout"
	} else if rest, ok = bytes.CutPrefix(rest, []byte(`err","time":"`)); ok {
		e.Stream = "stderr"
	} else {
		return false
	}
	stamp, ok := bytes.CutSuffix(rest, []byte("\"}\n"))
	if !ok {
		return false
	}
	var err error
	if e.Time, err = time.Parse(time.RFC3339Nano, string(stamp)); err != nil {
		return false
	}
	e.Attrs = nil
	e.Text, err = unquote(e.Text[:0], text)
	return err == nil
}

// closing finds the quotation mark that ends a string.
func closing(s []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(s[from:], '"')
		if i < 0 {
			return -1
		}
		i += from
		escaped := false
		for k := i - 1; k >= 0 && s[k] == '\\'; k-- {
			escaped = !escaped
		}
		if !escaped {
			return i
		}
		from = i + 1
	}
}

// ends tells whether an object has the end of a line.
func ends(object []byte) bool {
	rest, ok := bytes.CutPrefix(object, before)
	if !ok {
		return true // whatever it is
	}
	end := closing(rest)
	if end < 2 {
		return end < 0
	}
	if rest[end-1] != 'n' {
		return false
	}
	escapes := false
	for k := end - 2; k >= 0 && rest[k] == '\\'; k-- {
		escapes = !escapes
	}
	return escapes
}
