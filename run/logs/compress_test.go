package logs

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// zipped is a log of n files with lines, of which all but the newest are compressed.
func zipped(t *testing.T, n, lines int) (l *Log, path string, want []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "log")
	l, err := Open(Config{Driver: JSONFile, Path: path, MaxSize: 1000, MaxFile: n, Compress: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for i := range lines {
		want = append(want, fmt.Sprintf("line %d\n", i))
		l.add("stdout", []byte(want[i]), false)
		l.settle()
	}
	return l, path, want
}

// settle waits until what was rotated is compressed.
func (l *Log) settle() {
	if done := l.to.(*jsonFile).zipper.done; done != nil {
		<-done
	}
}

// What was compressed is read as one with the rest, from any line on.
func TestCompress(t *testing.T) {
	_, path, want := zipped(t, 4, 200)
	for n := 1; n < 4; n++ {
		if _, err := os.Stat(rotated(path, n) + suffix); err != nil {
			t.Error(err)
		}
	}
	if files, _ := filepath.Glob(path + "*"); len(files) != 4 {
		t.Errorf("there are %q", files)
	}
	got := text(t, path, Want{All: true})
	if !strings.HasSuffix(strings.Join(want, ""), got) || strings.Count(got, "\n") < 3*9 {
		t.Errorf("%q", got)
	}
	all := strings.SplitAfter(got, "\n")
	all = all[:len(all)-1]
	for tail := range len(all) + 3 {
		if w := strings.Join(all[len(all)-min(tail, len(all)):], ""); text(t, path, Want{Tail: tail}) != w {
			t.Errorf("the last %d lines: %q, not %q", tail, text(t, path, Want{Tail: tail}), w)
		}
	}
}

// Who follows sees every line once, though what it reads is compressed meanwhile.
func TestFollowCompress(t *testing.T) {
	l, path, _ := zipped(t, 5, 0)
	follow(t, path, func(line string) {
		l.add("stdout", []byte(line), false)
		l.settle()
	})
}

// A writer that was killed between two steps leaves a file twice, or a half of one.
func TestHalfCompressed(t *testing.T) {
	l, path, _ := zipped(t, 3, 40)
	whole := text(t, path, Want{All: true})
	if err := os.WriteFile(rotated(path, 1), mustUnzip(t, path, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(path+".new"+suffix, []byte("half"), 0o600)
	if got := text(t, path, Want{All: true}); got != whole {
		t.Errorf("with a file twice: %q, not %q", got, whole)
	}
	for i := 40; i < 60; i++ {
		l.add("stdout", fmt.Appendf(nil, "line %d\n", i), false)
		l.settle()
	}
	if files, _ := filepath.Glob(path + "*"); len(files) != 3 {
		t.Errorf("later there are %q", files)
	}
	if got := text(t, path, Want{All: true}); !strings.HasSuffix(got, "line 58\nline 59\n") || strings.Count(got, "line 59") != 1 {
		t.Errorf("later: %q", got)
	}
}

// Without time to compress there is the file as it was.
func TestNoTimeToCompress(t *testing.T) {
	_, path, _ := zipped(t, 3, 40)
	whole := text(t, path, Want{All: true})
	if err := os.WriteFile(rotated(path, 1), mustUnzip(t, path, 1), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Remove(rotated(path, 1) + suffix)
	quit := make(chan struct{})
	close(quit)
	if err := compress(path, 1, quit); err == nil {
		t.Error("it was compressed")
	}
	files, _ := filepath.Glob(path + "*")
	if len(files) != 3 || files[1] != rotated(path, 1) {
		t.Errorf("there are %q", files)
	}
	if got := text(t, path, Want{All: true}); got != whole {
		t.Errorf("%q, not %q", got, whole)
	}
}

// One that is damaged costs its own lines.
func TestDamagedCompressed(t *testing.T) {
	for name, spoil := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"nothing": func(b []byte) []byte { return nil },
		"other":   func(b []byte) []byte { return []byte("no gzip at all") },
		"changed": func(b []byte) []byte { b[len(b)-20] ^= 0xff; return b },
	} {
		_, path, _ := zipped(t, 3, 60)
		file := rotated(path, 2) + suffix
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		os.WriteFile(file, spoil(data), 0o600)
		for _, w := range []Want{{All: true}, {Tail: 30}} {
			var got strings.Builder
			damaged, err := Read(t.Context(), path, w, func(e *Entry) error { got.Write(e.Text); return nil })
			if err != nil || damaged == 0 || !strings.HasSuffix(got.String(), "line 58\nline 59\n") {
				t.Errorf("%s: %q, %d damaged, %v", name, got.String(), damaged, err)
			}
		}
	}
}

func mustUnzip(t *testing.T, path string, n int) []byte {
	t.Helper()
	s, err := openSource(path, n)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in, err := s.entries()
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
