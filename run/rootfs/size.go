package rootfs

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Size adds up the bytes of all files below the directory path, each once however many names
// it has. It goes by directory descriptors, follows no symlink and enters no mount point: what
// is counted may be changed by a container meanwhile, and what vanishes is not counted.
func Size(path string) (n int64, err error) {
	root, err := openPath(path)
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", path, err)
	}
	defer closing(root, &err)
	s := sizer{in: beneath{stay: true}, root: root, buf: make([]byte, 64<<10), seen: map[[2]uint64]bool{}, todo: []string{""}}
	for len(s.todo) > 0 {
		rel := s.todo[len(s.todo)-1]
		s.todo = s.todo[:len(s.todo)-1]
		if err := s.directory(rel); err != nil && !errors.Is(err, unix.ENOENT) {
			return s.n, fmt.Errorf("measure %s: %w", path, err)
		}
	}
	return s.n, nil
}

type sizer struct {
	in   beneath
	root fd
	buf  []byte
	seen map[[2]uint64]bool // inodes with several names
	todo []string
	n    int64
}

func (s *sizer) directory(rel string) (err error) {
	dir, err := s.in.path(s.root, rel)
	if err != nil {
		return err
	}
	defer closing(dir, &err)
	entries, err := readDir(dir, s.buf)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.kind == unix.DT_DIR {
			s.todo = append(s.todo, join(rel, e.name))
			continue
		}
		st, err := lstatat(dir, e.name)
		switch key := [2]uint64{st.Dev, st.Ino}; {
		case errors.Is(err, unix.ENOENT):
		case err != nil:
			return err
		case st.Mode&unix.S_IFMT == unix.S_IFDIR:
			s.todo = append(s.todo, join(rel, e.name))
		case st.Nlink > 1 && s.seen[key]:
		default:
			if st.Nlink > 1 {
				s.seen[key] = true
			}
			s.n += st.Size
		}
	}
	return nil
}
