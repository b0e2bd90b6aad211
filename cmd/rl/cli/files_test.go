package cli

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	say := func(text string, err error) func(*os.File) error {
		return func(f *os.File) error {
			_, werr := f.WriteString(text)
			return errors.Join(werr, err)
		}
	}
	for _, text := range []string{"one", "another"} {
		if err := writeWhole(path, say(text, nil)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%q, %v, want %q", b, err, text)
		}
	}
	if err := writeWhole(path, say("half", errors.New("no more"))); err == nil || err.Error() != "no more" {
		t.Errorf("a failure: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "another" {
		t.Errorf("after a failure: %q", b)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, wrong := range []string{dir, os.DevNull, filepath.Join(dir, "none", "out")} {
		if err := writeWhole(wrong, say("x", nil)); err == nil {
			t.Errorf("%s was written", wrong)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("left: %v", list)
	}
}
