package state

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"rl/userns/sys"
)

// List is every container, those of --rm included while they live: after that they are
// litter, which is gone but for its files. One whose record cannot be read is in broken,
// by its id.
func (r Root) List() (list []*Record, broken []string, err error) {
	err = r.every(func(id string, rec *Record, err error) {
		switch {
		case err == nil:
			if !rec.Remove || rec.Fresh || r.Running(id) {
				list = append(list, rec)
			}
		case !errors.Is(err, os.ErrNotExist): // removed just now, or not written yet
			broken = append(broken, id)
		}
	})
	return list, broken, err
}

// all reads the record of every container; those that cannot be read are left
// out, for they were killed before anything of them ran.
func (r Root) all() (list []*Record, err error) {
	err = r.every(func(id string, rec *Record, err error) {
		if err == nil {
			list = append(list, rec)
		}
	})
	return list, err
}

// every reads the record of each container, and shows one after the other.
func (r Root) every(show func(id string, rec *Record, err error)) error {
	for _, ephemeral := range []bool{false, true} {
		dir := filepath.Join(string(r), parent(ephemeral))
		ids, err := readIDs(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		records, errs := make([]*Record, len(ids)), make([]error, len(ids))
		several(len(ids), func(i int) { records[i], errs[i] = r.read(filepath.Join(dir, ids[i]), ids[i]) })
		for i, id := range ids {
			show(id, records[i], errs[i])
		}
	}
	return nil
}

// Statuses are those of several containers.
func (r Root) Statuses(list []*Record) ([]Status, error) {
	all, errs := make([]Status, len(list)), make([]error, len(list))
	several(len(list), func(i int) { all[i], errs[i] = r.Status(list[i]) })
	return all, errors.Join(errs...)
}

// atOnce is how many containers are looked at at a time: on a network file system, each is
// a handful of round trips.
const atOnce = 8

// several calls do for each number below n.
func several(n int, do func(i int)) {
	if n < 2*atOnce {
		for i := range n {
			do(i)
		}
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

// Running tells whether a container's monitor lives.
func (r Root) Running(id string) bool {
	for _, ephemeral := range []bool{false, true} {
		if locked, err := locked(filepath.Join(string(r), parent(ephemeral), id)); err != unix.ENOENT {
			return locked
		}
	}
	return false
}

// locked tells whether a container's directory is.
func locked(dir string) (bool, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	return sys.Locked(fd), nil
}
