package rootfs

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rl/fuse/fstest"
)

type fakeDriver struct {
	name string
	err  error
}

func (f fakeDriver) Name() string { return f.name }
func (f fakeDriver) Mount(Tree) (func() error, error) {
	return func() error { return nil }, f.err
}

func TestLadder(t *testing.T) {
	no := refused{fmt.Errorf("not on this kernel: %w", unix.EPERM)}
	full := fmt.Errorf("the disk: %w", unix.ENOSPC)
	for _, c := range []struct {
		pin    string
		rungs  []Driver
		chosen string
		missed int
		err    error
	}{
		{"", []Driver{fakeDriver{"a", nil}, fakeDriver{"b", nil}}, "a", 0, nil},
		{"auto", []Driver{fakeDriver{"a", no}, fakeDriver{"b", nil}}, "b", 1, nil},
		{"b", []Driver{fakeDriver{"a", nil}, fakeDriver{"b", nil}}, "b", 0, nil},
		{"", []Driver{fakeDriver{"a", full}, fakeDriver{"b", nil}}, "a|b", 0, unix.ENOSPC},
		{"", []Driver{fakeDriver{"a", no}, fakeDriver{"b", no}}, "a|b", 2, ErrRefused},
		{"a", []Driver{fakeDriver{"a", no}, fakeDriver{"b", nil}}, "a", 1, unix.EPERM},
	} {
		l, err := choose(c.pin, c.rungs...)
		must(t, err)
		_, err = l.Mount(Tree{})
		if !errors.Is(err, c.err) || l.Name() != c.chosen || len(l.Missed()) != c.missed {
			t.Errorf("%+v: got %s, missed %v, %v", c, l.Name(), l.Missed(), err)
		}
	}
}

func TestChoose(t *testing.T) {
	if _, err := Choose("zfs"); err == nil || !strings.Contains(hint(err), "kernel, fuse, copy") {
		t.Errorf("a driver nobody knows: %v, hint %q", err, hint(err))
	}
	for _, pin := range []string{"", "kernel", "fuse", "copy"} {
		l, err := Choose(pin)
		must(t, err)
		check(t, l, newTree(t, fstest.DiskDir(t), "x", 2))
		if want := pin; want != "" && l.Name() != want {
			t.Errorf("pinned %s, got %s", pin, l.Name())
		}
	}
}
