// Package overlay merges directories into one filesystem, as the kernel's overlayfs
// does, for machines whose kernel refuses to. It answers the requests of package
// fuse; the format on disk is the kernel's with the option userxattr, so a container can
// be mounted by one and later by the other.
//
//	a node  ── what the kernel knows by a number; one file, whatever its names
//	  place ── (directory node, name) in one layer: 0 is the upper, 1… the lowers
//	  dir   ── of a directory: its descriptor in every layer that shows it
//
//	LOOKUP name in d:  for each layer of d, topmost first:  statx(fd, name)
//	                     nothing → next layer   whiteout → ENOENT   found → its node
//	first write to f:  a copy in Work, complete with attributes, renamed into Upper
//
// Names are looked up relative to open directories, one component at a time, and no
// link is followed: a layer cannot lead out of itself. Descriptors of directories
// are kept in a bounded cache and opened again by the names above them.
//
// A layer never changes, and the upper changes only through here: the kernel may
// keep names, attributes, the absence of names, and pages for ever. Names in one
// directory are changed by one request at a time, as the kernel holds that directory's
// lock; a node's own lock guards where its file is, so that a file is copied up once.
//
// st_ino is the inode number of the file that was topmost when it was first seen,
// and stays through copy-up and renames for the life of the mount.
//
// Owners are those on disk, of the ids that the user namespace has. Where it has a single
// one, user.rootlesscontainers names others, but they cannot be shown: FUSE answers pass
// through the namespace's map, so a 1000 without a place there is nobody's file, which even
// root may not write to or chmod, and chown(2) to it never leaves the kernel (EINVAL).
// See TestOwnersOutsideTheMap. There every file is the one user's, as with the kernel's.
//
// Where the kernel's overlay is different, on purpose:
//
//	                                     kernel (no index)      here
//	hard links of a layer, one written   become two files       stay one file, by Work/links
//	st_ino after copy-up and a remount   the layer's, by xattr  the copy's
//	rename of a layer's directory        EXDEV                  EXDEV
//	RENAME_WHITEOUT by a caller          works                  EINVAL
//	opaque mark on a layer's root        ignored                hides the layers below
//	redirect, metacopy                   not with userxattr     neither read nor written
//	whiteouts where mknod is refused     refused to mount       xattr whiteouts, else .wh. files
//	names that begin with .wh.           as any other          EPERM to make, where whiteouts are such files
//	chmod of a layer's file by fd, unlinked EEXIST              works
//	FS_IOC_GETFLAGS (lsattr, chattr)     the file's             ENOTTY
package overlay
