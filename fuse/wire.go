package fuse

// The structures of include/uapi/linux/fuse.h, byte for byte, in the machine's
// own order. They are read and written in place (see cast_unsafe.go).

// Opcodes of requests.
const (
	OpLookup        = 1
	OpForget        = 2 // no reply
	OpGetattr       = 3
	OpSetattr       = 4
	OpReadlink      = 5
	OpSymlink       = 6
	OpMknod         = 8
	OpMkdir         = 9
	OpUnlink        = 10
	OpRmdir         = 11
	OpRename        = 12
	OpLink          = 13
	OpOpen          = 14
	OpRead          = 15
	OpWrite         = 16
	OpStatfs        = 17
	OpRelease       = 18
	OpFsync         = 20
	OpSetxattr      = 21
	OpGetxattr      = 22
	OpListxattr     = 23
	OpRemovexattr   = 24
	OpFlush         = 25
	OpInit          = 26
	OpOpendir       = 27
	OpReaddir       = 28
	OpReleasedir    = 29
	OpFsyncdir      = 30
	OpAccess        = 34
	OpCreate        = 35
	OpInterrupt     = 36 // no reply
	OpDestroy       = 38
	OpBatchForget   = 42 // no reply
	OpFallocate     = 43
	OpReaddirplus   = 44
	OpRename2       = 45
	OpLseek         = 46
	OpCopyFileRange = 47
	OpTmpfile       = 51
	opMax           = 64
)

// What INIT negotiates: the FUSE_* flags of protocol 7.31 and later.
const (
	AsyncRead       = 1 << 0
	BigWrites       = 1 << 5
	DontMask        = 1 << 6
	DoReaddirplus   = 1 << 13
	AsyncDIO        = 1 << 15
	WritebackCache  = 1 << 16
	ParallelDirops  = 1 << 18
	PosixACL        = 1 << 20
	MaxPages        = 1 << 22
	CacheSymlinks   = 1 << 23
	HandleKillprivV = 1 << 28 // HANDLE_KILLPRIV_V2
	SetxattrExt     = 1 << 29
	initExt         = 1 << 30
)

// InHeader begins every request.
type InHeader struct {
	Len     uint32
	Opcode  uint32
	Unique  uint64
	NodeID  uint64
	UID     uint32
	GID     uint32
	PID     uint32
	ExtLen  uint16
	Padding uint16
}

type outHeader struct {
	len    uint32
	err    int32
	unique uint64
}

const (
	inHeaderSize  = 40
	outHeaderSize = 16
)

type initIn struct {
	major, minor, maxReadahead, flags, flags2 uint32
	_                                         [11]uint32
}

type initOut struct {
	major, minor, maxReadahead, flags  uint32
	maxBackground, congestionThreshold uint16
	maxWrite, timeGran                 uint32
	maxPages, _                        uint16
	flags2, _                          uint32
	_                                  [6]uint32
}

// notifyInval with a negative offset is about attributes, not data.
type notifyInval struct {
	node        uint64
	offset, len int64
}

// Attr is struct fuse_attr.
type Attr struct {
	Ino, Size, Blocks               uint64
	Atime, Mtime, Ctime             uint64
	Atimensec, Mtimensec, Ctimensec uint32
	Mode, Nlink, UID, GID, Rdev     uint32
	Blksize, Flags                  uint32
}

// EntryOut answers what makes a node known to the kernel.
type EntryOut struct {
	NodeID, Generation        uint64
	EntryValid, AttrValid     uint64
	EntryValidNs, AttrValidNs uint32
	Attr                      Attr
}

// AttrOut answers GETATTR and SETATTR.
type AttrOut struct {
	AttrValid   uint64
	AttrValidNs uint32
	Dummy       uint32
	Attr        Attr
}

// SetattrIn is struct fuse_setattr_in.
type SetattrIn struct {
	Valid, Padding                  uint32
	Fh, Size, LockOwner             uint64
	Atime, Mtime, Ctime             uint64
	Atimensec, Mtimensec, Ctimensec uint32
	Mode, Unused4, UID, GID         uint32
	Unused5                         uint32
}

// Bits of SetattrIn.Valid.
const (
	FattrMode        = 1 << 0
	FattrUID         = 1 << 1
	FattrGID         = 1 << 2
	FattrSize        = 1 << 3
	FattrAtime       = 1 << 4
	FattrMtime       = 1 << 5
	FattrAtimeNow    = 1 << 7
	FattrMtimeNow    = 1 << 8
	FattrCtime       = 1 << 10
	FattrKillSUIDGID = 1 << 11
)

// MknodIn is followed by a name.
type MknodIn struct{ Mode, Rdev, Umask, Padding uint32 }

// MkdirIn is followed by a name.
type MkdirIn struct{ Mode, Umask uint32 }

// RenameIn is followed by two names.
type RenameIn struct{ Newdir uint64 }

// Rename2In is followed by two names.
type Rename2In struct {
	Newdir         uint64
	Flags, Padding uint32
}

// LinkIn is followed by a name.
type LinkIn struct{ OldNode uint64 }

// CreateIn is followed by a name.
type CreateIn struct{ Flags, Mode, Umask, OpenFlags uint32 }

// OpenOut answers OPEN, OPENDIR and, after an EntryOut, CREATE.
type OpenOut struct {
	Fh             uint64
	OpenFlags, Pad uint32
}

// Flags of OpenOut.
const (
	FopenKeepCache = 1 << 1
)

// ReadIn is READ, READDIR and READDIRPLUS.
type ReadIn struct {
	Fh, Offset      uint64
	Size, ReadFlags uint32
	LockOwner       uint64
	Flags, Padding  uint32
}

// WriteIn is followed by the data.
type WriteIn struct {
	Fh, Offset       uint64
	Size, WriteFlags uint32
	LockOwner        uint64
	Flags, Padding   uint32
}

// WriteKillSUIDGID in WriteFlags: the write clears the set-id bits.
const WriteKillSUIDGID = 1 << 2

// WriteOut answers WRITE and COPY_FILE_RANGE.
type WriteOut struct{ Size, Padding uint32 }

// StatfsOut is struct fuse_kstatfs.
type StatfsOut struct {
	Blocks, Bfree, Bavail, Files, Ffree    uint64
	Bsize, Namelen, Frsize, Padding        uint32
	Spare0, Spare1, Spare2, Spare3, S4, S5 uint32
}

// FsyncIn is FSYNC and FSYNCDIR.
type FsyncIn struct {
	Fh             uint64
	Flags, Padding uint32
}

// SetxattrIn is followed by a name and the value.
type SetxattrIn struct{ Size, Flags, SetxattrFlags, Padding uint32 }

// SetxattrACLKillSGID: the change of an ACL clears the set-group-id bit.
const SetxattrACLKillSGID = 1

// GetxattrIn is followed by a name, for LISTXATTR by nothing.
type GetxattrIn struct{ Size, Padding uint32 }

// GetxattrOut answers when the size was asked.
type GetxattrOut struct{ Size, Padding uint32 }

// FallocateIn is struct fuse_fallocate_in.
type FallocateIn struct {
	Fh, Offset, Length uint64
	Mode, Padding      uint32
}

// LseekIn is struct fuse_lseek_in.
type LseekIn struct {
	Fh, Offset      uint64
	Whence, Padding uint32
}

// LseekOut answers it.
type LseekOut struct{ Offset uint64 }

// CopyFileRangeIn is struct fuse_copy_file_range_in.
type CopyFileRangeIn struct {
	FhIn, OffIn, NodeOut, FhOut, OffOut, Len, Flags uint64
}

// ForgetIn drops references.
type ForgetIn struct{ Nlookup uint64 }

// BatchForgetIn is followed by Count of ForgetOne.
type BatchForgetIn struct{ Count, Dummy uint32 }

// ForgetOne drops references of one node.
type ForgetOne struct{ NodeID, Nlookup uint64 }

// Dirent is followed by the name and padding to 8 bytes.
type Dirent struct {
	Ino, Off     uint64
	Namelen, Typ uint32
}

// Sizes of what is followed by something.
const (
	EntryOutSize = 128
	OpenOutSize  = 16
	DirentSize   = 24
	AttrOutSize  = 104
)
