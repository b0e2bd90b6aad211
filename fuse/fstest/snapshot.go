package fstest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// snapshot describes a tree completely: a line a file with type, mode, owner,
// links, size, mtime, ctime, xattrs and a digest of the contents. Only atime is left out.
func snapshot(dir string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		fmt.Fprintf(&b, "%q %o %d:%d nlink=%d rdev=%d size=%d mtime=%d.%d ctime=%d.%d", strings.TrimPrefix(path, dir),
			st.Mode, st.Uid, st.Gid, st.Nlink, st.Rdev, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			if err := hashFile(&b, path, st.Size); err != nil {
				return err
			}
		case unix.S_IFLNK:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " -> %q", to)
		}
		for _, name := range listXattrs(path) {
			value, err := getXattr(path, name)
			fmt.Fprintf(&b, " %s=%q%v", name, value, err)
		}
		b.WriteByte('\n')
		return nil
	})
	return b.String(), err
}

// hashFile leaves huge sparse files to their times and sizes.
func hashFile(w io.Writer, path string, size int64) error {
	if size > 16<<20 {
		return nil
	}
	data, err := os.ReadFile(path)
	fmt.Fprintf(w, " %x", sha256.Sum256(data))
	return err
}

func listXattrs(path string) []string {
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	if err != nil {
		return nil
	}
	names := strings.FieldsFunc(string(buf[:n]), func(r rune) bool { return r == 0 })
	slices.Sort(names)
	return names
}

func getXattr(path, name string) (string, error) {
	buf := make([]byte, 64<<10)
	n, err := unix.Lgetxattr(path, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// difference shows the lines of b that are not in a, and the other way round.
func difference(a, b string) string {
	var out strings.Builder
	have := strings.Split(a, "\n")
	want := strings.Split(b, "\n")
	for _, l := range have {
		if !slices.Contains(want, l) {
			fmt.Fprintln(&out, "-", l)
		}
	}
	for _, l := range want {
		if !slices.Contains(have, l) {
			fmt.Fprintln(&out, "+", l)
		}
	}
	return out.String()
}
