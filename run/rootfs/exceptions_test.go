package rootfs

// kernelExceptions are where the kernel's overlayfs is no POSIX filesystem, by
// its own documentation (overlayfs.rst, "Non-standard behavior" and "inode
// properties"). All of them come from going without the inode index, which
// docker and podman go without too.
var kernelExceptions = map[string]string{
	"link/names of a layer stay one file when written":  "without index, copy-up breaks the hardlinks of a layer",
	"link/names of a layer stay one file when chmodded": "without index, copy-up breaks the hardlinks of a layer",
	"link/file of a layer":                              "a new link of a layer's file has another st_ino until it is looked up again",
}
