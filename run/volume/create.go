package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rl/userns/sys"
)

// Create makes a volume. One that there is already is left as it is, and no error:
// created tells.
func (s Store) Create(name string, labels map[string]string) (v *Volume, created bool, err error) {
	if name == "" {
		all := map[string]string{Anonymous: ""}
		for k, v := range labels {
			all[k] = v
		}
		name, labels = NewName(), all
	}
	if err := CheckName(name); err != nil {
		return nil, false, err
	}
	v = &Volume{Name: name, Created: time.Now().UTC(), Labels: labels}
	for range 100 {
		if there, err := s.Get(name); !errors.Is(err, ErrNotFound) {
			return there, false, err
		}
		err := s.publish(v)
		if err == nil {
			return v, true, nil
		}
		if !errors.Is(err, os.ErrExist) {
			return nil, false, fmt.Errorf("create volume %s: %w", name, err)
		}
	}
	return nil, false, fmt.Errorf("create volume %s: it is made and removed again and again", name)
}

// publish makes the volume in tmp/ and gives it its place, unless that is taken: rename(2)
// replaces no directory that has something in it.
func (s Store) publish(v *Volume) (err error) {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	lock, err := s.scratch()
	if err != nil {
		return err
	}
	defer lock.Close()
	dir := lock.Name()
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	if err := os.Mkdir(DataIn(dir), 0o755); err != nil {
		return err
	}
	if err := os.Chmod(DataIn(dir), 0o755); err != nil { // whatever the umask
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, metaFile), data, 0o600); err != nil {
		return err
	}
	err = os.Rename(dir, s.Dir(v.Name))
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(s.top(), 0o700); err != nil {
			return err
		}
		err = os.Rename(dir, s.Dir(v.Name))
	}
	return err
}

// scratch makes a directory in tmp/ and locks it, so that nobody takes it for litter.
func (s Store) scratch() (*os.File, error) {
	tmp := filepath.Join(string(s), "tmp")
	for {
		dir, err := os.MkdirTemp(tmp, "volume-")
		if err != nil {
			return nil, err
		}
		f, err := lockDir(dir, func(f *os.File) error { return sys.Lock(f, true) })
		if err != nil || f != nil {
			return f, err
		}
	}
}

// lockDir opens a directory and locks it; nil when meanwhile it was locked, moved or
// removed by another.
func lockDir(dir string, lock func(*os.File) error) (*os.File, error) {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = nil
		}
		return nil, err
	}
	a, err := f.Stat()
	if err == nil {
		if b, err := os.Lstat(dir); err == nil && os.SameFile(a, b) {
			return f, nil
		}
	}
	f.Close()
	return nil, err
}
