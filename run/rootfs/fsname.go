package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Types of statfs(2) that x/sys does not know: they live outside the kernel.
const (
	lustreMagic = 0x0bd00bd0
	gpfsMagic   = 0x47504653
	zfsMagic    = 0x2fc12fc1
	beegfsMagic = 0x19830326
)

// cannotHoldUpper tells the filesystems that overlayfs refuses as upper: it
// needs whiteouts, d_type, RENAME_WHITEOUT, xattrs, and no revalidation by a server.
func cannotHoldUpper(magic int64) bool {
	switch uint32(magic) {
	case unix.NFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC,
		unix.SMB2_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.V9FS_MAGIC, unix.MSDOS_SUPER_MAGIC, unix.EXFAT_SUPER_MAGIC,
		unix.AFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.ECRYPTFS_SUPER_MAGIC, lustreMagic, gpfsMagic, beegfsMagic:
		return true
	}
	return false
}

// fsName is what a person calls the filesystem of a statfs(2) type.
func fsName(magic int64) string {
	switch uint32(magic) {
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.FUSE_SUPER_MAGIC:
		return "a FUSE filesystem"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "another overlay (a container inside a container: use a volume)"
	case unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.SMB_SUPER_MAGIC:
		return "SMB"
	case unix.V9FS_MAGIC:
		return "9p"
	case unix.MSDOS_SUPER_MAGIC:
		return "FAT"
	case unix.EXFAT_SUPER_MAGIC:
		return "exFAT"
	case unix.AFS_SUPER_MAGIC:
		return "AFS"
	case unix.CEPH_SUPER_MAGIC:
		return "Ceph"
	case unix.ECRYPTFS_SUPER_MAGIC:
		return "eCryptfs"
	case lustreMagic:
		return "Lustre"
	case gpfsMagic:
		return "GPFS"
	case beegfsMagic:
		return "BeeGFS"
	case zfsMagic:
		return "ZFS"
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "XFS"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	}
	return fmt.Sprintf("a filesystem of type %#x", uint32(magic))
}
