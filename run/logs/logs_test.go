package logs

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// written is what comes out of a log into which these were written, a piece at a time.
func written(t *testing.T, w Want, pieces ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	l, err := Open(Config{Driver: JSONFile, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	r, p, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool)
	var teed int
	go func() {
		l.Copy("stdout", r, func(b []byte) { teed += len(b) })
		close(done)
	}()
	for _, s := range pieces {
		io.WriteString(p, s)
	}
	p.Close()
	<-done
	if all := len(strings.Join(pieces, "")); teed != all {
		t.Errorf("%d bytes of %d were told", teed, all)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return text(t, path, w)
}

func text(t *testing.T, path string, w Want) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := Read(t.Context(), path, w, func(e *Entry) error { b.Write(e.Text); return nil }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Whatever is written comes back, in one piece or in many, whatever bytes it is.
func TestBytesComeBack(t *testing.T) {
	random := make([]byte, 300<<10)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for _, s := range []string{"", "a\n", "no end", "\n\n", "a\nb\nc", "\x00\xff\xfe\"\\\x7f\u2028\n", "\xed\xb2\x80\n", `\udc80\n` + "\n",
		strings.Repeat("x", 3*maxLine) + "\n", strings.Repeat("long", maxLine) + "tail", string(random)} {
		if got := written(t, Want{All: true}, s); got != s {
			t.Errorf("%.40q came back as %.40q", s, got)
		}
		half := len(s) / 2
		if got := written(t, Want{All: true}, s[:half], s[half:]); got != s {
			t.Errorf("%.40q, in two pieces, came back as %.40q", s, got)
		}
	}
}

// The format is docker's: others can read it.
func TestFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := Open(Config{Driver: JSONFile, Path: path})
	l.add("stderr", []byte("tab\tquote\" \u00e4\n"), false)
	l.Close()
	data, _ := os.ReadFile(path)
	var got struct {
		Log, Stream string
		Time        time.Time
	}
	if err := json.Unmarshal(data, &got); err != nil || got.Log != "tab\tquote\" \u00e4\n" || got.Stream != "stderr" || time.Since(got.Time) > time.Hour {
		t.Errorf("%s is %+v, %v", data, got, err)
	}
}

func TestTail(t *testing.T) {
	lines := strings.Repeat("a line that is not short\n", 5000)
	for n, want := range map[int]int{0: 0, 1: 1, 7: 7, 4999: 4999, 5000: 5000, 6000: 5000} {
		if got := strings.Count(written(t, Want{Tail: n}, lines), "\n"); got != want {
			t.Errorf("the last %d are %d lines", n, got)
		}
	}
}

func TestSinceUntil(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	os.WriteFile(path, []byte(`{"log":"1\n","stream":"stdout","time":"2026-01-01T00:00:01Z"}
damaged
{"log":"2\n","stream":"stdout","time":"2026-01-01T00:00:02Z"}
{"log":"3\n","stream":"stdout","time":"2026-01-01T00:00:03Z"}
{"log":"half`), 0o600)
	at := func(sec int) time.Time { return time.Date(2026, 1, 1, 0, 0, sec, 0, time.UTC) }
	for want, w := range map[string]Want{"1\n2\n3\n": {}, "2\n3\n": {Since: at(2)}, "1\n2\n": {Until: at(2)}, "2\n": {Since: at(2), Until: at(2)}} {
		w.All = true
		if got := text(t, path, w); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What is written while somebody follows is seen, up to the last byte before the end.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _ := Open(Config{Driver: JSONFile, Path: path})
	alive := make(chan bool)
	go func() {
		for range 200 {
			l.add("stdout", []byte("x\n"), false)
		}
		close(alive)
	}()
	follow := func() bool {
		select {
		case <-alive:
			return false
		default:
			return true
		}
	}
	if got := text(t, path, Want{All: true, Follow: follow}); got != strings.Repeat("x\n", 200) {
		t.Errorf("%d lines were seen", strings.Count(got, "\n"))
	}
}

// A full disk drops what comes, says so when there is room again, and leaves nothing
// that cannot be read.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log")
	l, _ := Open(Config{Driver: JSONFile, Path: path})
	to := l.to.(*jsonFile)
	file := to.file
	to.file = full
	l.add("stdout", []byte("lost\n"), false)
	to.file = file
	l.add("stdout", []byte("kept\n"), false)
	l.Close()
	if got, want := text(t, path, Want{All: true}), "[rl: 5 bytes could not be logged]\nkept\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzQuote(f *testing.F) {
	f.Add([]byte("a\xff\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		quoted := append(quote([]byte{'"'}, b), '"')
		var others string
		if err := json.Unmarshal(quoted, &others); err != nil || utf8.Valid(b) && others != string(b) {
			t.Errorf("%q is %q to others, %v", b, others, err)
		}
		got, err := unquote(nil, quote(nil, b))
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%q came back as %q, %v", b, got, err)
		}
	})
}
