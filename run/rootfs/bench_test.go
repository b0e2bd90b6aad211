package rootfs

import (
	"fmt"
	"strconv"
	"testing"

	"rl/fuse/fstest"
)

// What the three ways cost; most of it is overlayfs making its work directory.
func BenchmarkMount(b *testing.B) {
	base := fstest.DiskDir(b)
	for _, n := range []int{1, 5, 20} {
		tree := newTree(b, base, strconv.Itoa(n), n)
		for _, way := range []string{"direct", "fsconfig", "fds"} {
			b.Run(fmt.Sprintf("%s/%d", way, n), func(b *testing.B) {
				for b.Loop() {
					unmount, err := (&Kernel{only: way}).Mount(tree)
					must(b, err)
					b.StopTimer()
					must(b, unmount())
					b.StartTimer()
				}
			})
		}
	}
}
