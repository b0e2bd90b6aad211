package overlay

import (
	"bytes"
	"encoding/binary"
)

// cutDirent reads one struct linux_dirent64; name has its zero byte.
func cutDirent(b []byte) (ino uint64, typ uint8, name, rest []byte) {
	size := int(binary.NativeEndian.Uint16(b[16:]))
	name = b[19:size]
	name = name[:bytes.IndexByte(name, 0)+1]
	return binary.NativeEndian.Uint64(b), b[18], name, b[size:]
}
