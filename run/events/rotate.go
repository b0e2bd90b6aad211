package events

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// rotate renames the current file, if it is still the full one, so that the next writer
// begins a new one, and removes the oldest. Two who do it at the very same time rename two
// files, of which one is short: nothing is lost by that.
func (j Journal) rotate(this *unix.Stat_t) error {
	var now unix.Stat_t
	if err := unix.Lstat(j.file(0), &now); err != nil || now.Ino != this.Ino || now.Dev != this.Dev {
		return nil // somebody else did it
	}
	full, err := j.full()
	if err != nil {
		return err
	}
	next := 1
	if len(full) > 0 {
		next = full[len(full)-1] + 1
	}
	for range 100 {
		err = unix.Renameat2(unix.AT_FDCWD, j.file(0), unix.AT_FDCWD, j.file(next), unix.RENAME_NOREPLACE)
		if err == unix.EINVAL { // a file system that cannot tell: the window is narrow
			err = os.Rename(j.file(0), j.file(next))
		}
		if !errors.Is(err, unix.EEXIST) {
			break
		}
		next++
	}
	if err != nil && !errors.Is(err, unix.ENOENT) { // somebody else did it
		return err
	}
	for len(full) >= keepFull {
		if err := os.Remove(j.file(full[0])); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		full = full[1:]
	}
	return nil
}

// file is the path of a full file, or of the current one, which is 0.
func (j Journal) file(n int) string {
	if n == 0 {
		return filepath.Join(string(j), current)
	}
	return filepath.Join(string(j), current+"."+strconv.Itoa(n))
}

// full are the numbers of the full files, the oldest first.
func (j Journal) full() ([]int, error) {
	d, err := os.Open(string(j))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	var list []int
	for _, name := range names {
		text, ok := strings.CutPrefix(name, current+".")
		if n, err := strconv.Atoi(text); ok && err == nil && n > 0 {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list, err
}
