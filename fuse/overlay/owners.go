package overlay

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"rl/userns/idmap"
)

// A layer that was written under another id map has owners that are called
// otherwise here. Its files are shown, and copied up, as if they had been written under
// this namespace's map: the id that this process sees is renamed to what it was called
// when the layer was written. Only what a layer says is renamed; the upper is this
// namespace's own.

// owners has what a layer says of a file be meant for this namespace.
func (f *FS) owners(layer uint16, st *unix.Statx_t) {
	if f.Maps == nil || layer == 0 {
		return
	}
	m := &f.Maps[layer-1]
	st.Uid, st.Gid = renamed(m.UIDs, st.Uid), renamed(m.GIDs, st.Gid)
}

func renamed(r idmap.Ranges, id uint32) uint32 {
	if was, ok := r.ToContainer(id); ok {
		return was
	}
	return id // the map is empty, or nobody's: see Options.Maps
}

// The xattrs that name ids.
const (
	xattrACL    = "system.posix_acl_"
	aclHead     = 4 // bytes, then an entry: tag, permissions, id
	aclEntry    = 8
	aclUser     = 0x02
	aclGroup    = 0x08
	capsV2Size  = 20 // bytes of struct vfs_cap_data
	capsV3Size  = 24 // with the id of the namespace's root
	capsVersion = 0xff000000
	capsV2      = 0x02000000
)

// named does the same to the value of an xattr, in place, and tells its size, which may
// be less.
func (f *FS) named(layer uint16, name cname, value []byte) int {
	if f.Maps == nil || layer == 0 {
		return len(value)
	}
	m := &f.Maps[layer-1]
	switch {
	case strings.HasPrefix(string(name), xattrACL):
		for b := value[min(aclHead, len(value)):]; len(b) >= aclEntry; b = b[aclEntry:] {
			switch id := b[4:8]; binary.LittleEndian.Uint16(b) {
			case aclUser:
				binary.LittleEndian.PutUint32(id, renamed(m.UIDs, binary.LittleEndian.Uint32(id)))
			case aclGroup:
				binary.LittleEndian.PutUint32(id, renamed(m.GIDs, binary.LittleEndian.Uint32(id)))
			}
		}
	case name == xattrCaps && len(value) == capsV3Size:
		root := renamed(m.UIDs, binary.LittleEndian.Uint32(value[capsV2Size:]))
		binary.LittleEndian.PutUint32(value[capsV2Size:], root)
		if root == 0 { // as the kernel shows them to whose root it is
			magic := binary.LittleEndian.Uint32(value)
			binary.LittleEndian.PutUint32(value, magic&^uint32(capsVersion)|capsV2)
			return capsV2Size
		}
	}
	return len(value)
}
