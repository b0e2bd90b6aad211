package rootfs

import "golang.org/x/sys/unix"

// CopyTree copies what is in the directory src into the empty directory dst,
// with owners, modes, times and extended attributes, sharing blocks where the
// filesystem can. It follows no symlink below src.
func CopyTree(src, dst string) error {
	return (&engine{}).run([]string{src}, dst)
}

// CopyAttributes makes a directory look like another: owner, mode, times and extended
// attributes.
func CopyAttributes(src, dst string) (err error) {
	from, err := openat(unix.AT_FDCWD, src, dirFlags, 0)
	if err != nil {
		return err
	}
	defer closing(from, &err)
	to, err := openat(unix.AT_FDCWD, dst, dirFlags, 0)
	if err != nil {
		return err
	}
	defer closing(to, &err)
	st, err := fstat(from)
	if err != nil {
		return err
	}
	return named("attributes of", dst, copyAttributes(from, to, to, ".", &st))
}
