package rootfs

import "fmt"

// CopyTree copies what is in the directory src into the empty directory dst,
// with owners, modes, times and extended attributes, sharing blocks where the
// filesystem can. It follows no symlink below src.
func CopyTree(src, dst string) error {
	if err := (&engine{}).run([]string{src}, dst); err != nil {
		return fmt.Errorf("copy %s: %w", src, err)
	}
	return nil
}
