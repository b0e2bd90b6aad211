package logs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// small is a log whose files may have 1000 bytes, and n of it are kept.
func small(t *testing.T, n int) (*Log, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	l, err := Open(Config{Driver: JSONFile, Path: path, MaxSize: 1000, MaxFile: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}

// The last lines are there, in order, over as many files as may be, none of which is much larger than it may be.
func TestRotation(t *testing.T) {
	for _, n := range []int{1, 2, 5} {
		l, path := small(t, n)
		var want []string
		for i := range 500 {
			want = append(want, fmt.Sprintf("line %d\n", i))
		}
		l.add("stdout", []byte(strings.Join(want, "")), true)
		got := text(t, path, Want{All: true})
		if !strings.HasSuffix(strings.Join(want, ""), got) || got == "" {
			t.Errorf("%d files: they have %q", n, got)
		}
		if lines := strings.Count(got, "\n"); lines > n*14 || n > 1 && lines < (n-1)*9 {
			t.Errorf("%d files have %d lines", n, lines)
		}
		files, _ := filepath.Glob(path + "*")
		if len(files) != n {
			t.Errorf("there are %q", files)
		}
		for _, f := range files {
			if st, err := os.Stat(f); err != nil || st.Size() > 1100 {
				t.Errorf("%s has %d bytes, %v", f, st.Size(), err)
			}
		}
		for tail := range 30 {
			all := strings.SplitAfter(got, "\n")
			all = all[:len(all)-1]
			if w := strings.Join(all[len(all)-min(tail, len(all)):], ""); text(t, path, Want{Tail: tail}) != w {
				t.Errorf("%d files, the last %d lines: %q, not %q", n, tail, text(t, path, Want{Tail: tail}), w)
			}
		}
	}
}

// Who follows sees every line once, however the files are renamed meanwhile.
func TestFollowRotation(t *testing.T) {
	l, path := small(t, 5)
	follow(t, path, func(line string) { l.add("stdout", []byte(line), false) })
}

// follow reads a log that is written to, a line for each that was seen.
func follow(t *testing.T, path string, write func(line string)) {
	t.Helper()
	alive, seen := true, 0
	next := func() {
		if alive = seen < 400; alive {
			write(fmt.Sprintf("%d\n", seen))
		}
	}
	next()
	w := Want{All: true, Follow: func() bool { return alive }}
	if _, err := Read(t.Context(), path, w, func(e *Entry) error {
		if string(e.Text) != fmt.Sprintf("%d\n", seen) {
			t.Fatalf("after %d comes %q", seen-1, e.Text)
		}
		seen++
		next()
		return nil
	}); err != nil || seen != 400 {
		t.Errorf("%d lines were seen, %v", seen, err)
	}
}

// A log that may have one file is begun anew, also for who follows.
func TestFollowTruncation(t *testing.T) {
	l, path := small(t, 1)
	l.add("stdout", bytes.Repeat([]byte("x\n"), 13), false)
	alive := true
	var got strings.Builder
	n := 0
	w := Want{All: true, Follow: func() bool {
		if n++; n == 2 {
			l.add("stdout", []byte("y\n"), false)
		}
		alive = n < 4
		return alive
	}}
	if _, err := Read(t.Context(), path, w, func(e *Entry) error { got.Write(e.Text); return nil }); err != nil || got.String() != strings.Repeat("x\n", 13)+"y\n" {
		t.Errorf("%q, %v", got.String(), err)
	}
}

// A rotation that was killed between its two steps.
func TestHalfRotation(t *testing.T) {
	l, path := small(t, 3)
	l.add("stdout", []byte("old\n"), false)
	l.Close()
	os.Rename(path, rotated(path, 1))
	if got := text(t, path, Want{All: true}); got != "old\n" {
		t.Errorf("%q", got)
	}
	l, err := Open(Config{Driver: JSONFile, Path: path, MaxSize: 1000, MaxFile: 3})
	if err != nil {
		t.Fatal(err)
	}
	l.add("stdout", []byte("new\n"), false)
	if got := text(t, path, Want{All: true}); got != "old\nnew\n" {
		t.Errorf("%q", got)
	}
}

// What cannot be read is counted, and nothing that can is lost by it.
func TestDamage(t *testing.T) {
	entry := func(s string) string {
		return `{"log":"` + s + `\n","stream":"stdout","time":"2026-01-01T00:00:01Z"}` + "\n"
	}
	for name, c := range map[string]struct {
		file, want string
		damaged    int
	}{
		"whole":        {entry("a") + entry("b"), "a\nb\n", 0},
		"torn":         {entry("a") + entry("b")[:20], "a\n", 1},
		"torn before":  {entry("a")[:20] + entry("b"), "b\n", 1},
		"zeros":        {entry("a") + strings.Repeat("\x00", 4096) + entry("b"), "a\nb\n", 1},
		"a long piece": {entry("a") + strings.Repeat("z", 3*longest) + "\n" + entry("b"), "a\nb\n", 1},
		"long, torn":   {entry("a") + strings.Repeat("z", 3*longest), "a\n", 1},
		"other JSON":   {"17\nnull\n{}\n" + entry("b"), "b\n", 3},
		"bad escape":   {entry(`a\q`) + entry("b"), "b\n", 1},
		"other order":  {`{"time":"2026-01-01T00:00:01Z","stream":"stderr","log":"a\n"}` + "\n", "a\n", 0},
		"ended":        {entry("a")[:20] + "\n" + entry("b"), "b\n", 1},
		"empty":        {"", "", 0},
		"empty lines":  {"\n\n" + entry("a"), "a\n", 0},
	} {
		path := filepath.Join(t.TempDir(), "log")
		os.WriteFile(path, []byte(c.file), 0o600)
		var got strings.Builder
		damaged, err := Read(t.Context(), path, Want{All: true}, func(e *Entry) error { got.Write(e.Text); return nil })
		if err != nil || got.String() != c.want || damaged != c.damaged {
			t.Errorf("%s: %q with %d damaged, %v", name, got.String(), damaged, err)
		}
		if text := text(t, path, Want{Tail: 1}); c.want != "" && !strings.HasSuffix(c.want, text) {
			t.Errorf("%s: the last line is %q", name, text)
		}
	}
}

// A writer that comes after one that was killed ends what that left half.
func TestGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	os.WriteFile(path, []byte(`{"log":"hal`), 0o600)
	l, err := Open(Config{Driver: JSONFile, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	l.add("stdout", []byte("whole\n"), false)
	l.Close()
	if got := text(t, path, Want{All: true}); got != "whole\n" {
		t.Errorf("%q", got)
	}
}

// A line of several objects is one line; one without an end is one, too.
func TestTailOfLongLines(t *testing.T) {
	long := strings.Repeat("x", 5*maxLine) + "\n"
	if got := written(t, Want{Tail: 2}, "a\n", long, "b\n", long); got != "b\n"+long {
		t.Errorf("%d bytes", len(got))
	}
	if got := written(t, Want{Tail: 1}, "a\nb\nno end"); got != "no end" {
		t.Errorf("%q", got)
	}
	if got := written(t, Want{Tail: 2}, "a\nb\nno end"); got != "b\nno end" {
		t.Errorf("%q", got)
	}
}

func TestAttrs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := Open(Config{Driver: JSONFile, Path: path, Attrs: []Attr{{"tag", `a "b"`}, {"k", "v"}}})
	if err != nil {
		t.Fatal(err)
	}
	l.add("stdout", []byte("x\n"), false)
	l.Close()
	Read(t.Context(), path, Want{All: true}, func(e *Entry) error {
		if fmt.Sprint(e.Attrs) != `[{k v} {tag a "b"}]` || string(e.Text) != "x\n" || time.Since(e.Time) > time.Hour {
			t.Errorf("%+v", e)
		}
		return nil
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"log":"a\n","stream":"stdout","time":"2026-01-01T00:00:01Z"}` + "\n"))
	f.Add([]byte(`{"log":"\ud83d\ude00\udc80","stream":"stderr","time":"2026-01-01T00:00:01Z"}` + "\n"))
	// The fast way finds what the slow one finds.
	f.Fuzz(func(t *testing.T, b []byte) {
		var fast, slow Entry
		if !fast.fast(b) || bytes.IndexFunc(b, func(r rune) bool { return r < 0x20 && r != '\n' || r == 0xfffd }) >= 0 {
			return
		}
		// Leading space hides it from the fast way.
		if err := slow.parse(append([]byte(" "), b...)); err == nil && (!bytes.Equal(fast.Text, slow.Text) || fast.Stream != slow.Stream || !fast.Time.Equal(slow.Time)) {
			t.Errorf("%q: %+v, %+v", b, fast, slow)
		}
	})
}
