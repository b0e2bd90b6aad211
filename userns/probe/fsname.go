package probe

import "fmt"

// fsKind is what matters of a filesystem type for a store.
type fsKind int

const (
	fsUnknown fsKind = iota // local, user xattrs to be asked for
	fsGood                  // local, user xattrs always
	fsRemote                // overlayfs refuses it as upper layer (fs/overlayfs/super.c: ovl_dentry_remote, or no whiteouts)
)

// fsType names a filesystem by the magic number of statfs(2): linux/magic.h
// and the filesystems' own sources for those outside of the kernel.
func fsType(magic int64) (name string, kind fsKind) {
	switch uint32(magic) {
	case 0xEF53:
		return "ext4", fsGood
	case 0x58465342:
		return "xfs", fsGood
	case 0x9123683E:
		return "btrfs", fsGood
	case 0xF2F52010:
		return "f2fs", fsGood
	case 0xCA451A4E:
		return "bcachefs", fsGood
	case 0x01021994:
		return "tmpfs", fsUnknown // user xattrs since 6.6, CONFIG_TMPFS_XATTR
	case 0x858458F6:
		return "ramfs", fsUnknown
	case 0x2FC12FC1:
		return "zfs", fsUnknown // below overlayfs since OpenZFS 2.2
	case 0x794C7630:
		return "overlay", fsUnknown
	case 0x3153464A:
		return "jfs", fsUnknown
	case 0x4D44:
		return "vfat", fsUnknown
	case 0x2011BAB0:
		return "exfat", fsUnknown
	case 0x5346544E, 0x7366746E:
		return "ntfs", fsUnknown
	case 0x73717368:
		return "squashfs", fsUnknown
	case 0xE0F5E1E2:
		return "erofs", fsUnknown
	case 0x9660:
		return "iso9660", fsUnknown
	case 0x6969:
		return "nfs", fsRemote
	case 0x0BD00BD0:
		return "lustre", fsRemote
	case 0x47504653:
		return "gpfs", fsRemote
	case 0x65735546:
		return "fuse", fsRemote
	case 0xFF534D42:
		return "cifs", fsRemote
	case 0xFE534D42:
		return "smb", fsRemote
	case 0x5346414F, 0x6B414653:
		return "afs", fsRemote
	case 0x00C36400:
		return "ceph", fsRemote
	case 0x01021997:
		return "9p", fsRemote
	case 0x19830326:
		return "beegfs", fsRemote
	case 0xAAD7AAEA:
		return "panfs", fsRemote
	case 0x20030528:
		return "orangefs", fsRemote
	case 0x7461636F:
		return "ocfs2", fsRemote
	case 0x01161970:
		return "gfs2", fsRemote
	case 0x786F4256:
		return "vboxsf", fsRemote
	case 0xF15F:
		return "ecryptfs", fsRemote
	case 0x9FA0:
		return "proc", fsUnknown
	case 0x62656572:
		return "sysfs", fsUnknown
	case 0x63677270:
		return "cgroup2", fsUnknown
	case 0x27E0EB:
		return "cgroup", fsUnknown
	}
	return fmt.Sprintf("type %#x", uint32(magic)), fsUnknown
}
