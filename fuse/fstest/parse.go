package fstest

import (
	"bytes"
	"encoding/binary"
)

// parse reads struct linux_dirent64.
func parse(buf []byte) (all []dirent) {
	for len(buf) >= 19 {
		length := binary.NativeEndian.Uint16(buf[16:])
		name, _, _ := bytes.Cut(buf[19:length], []byte{0})
		all = append(all, dirent{
			ino:  binary.NativeEndian.Uint64(buf),
			off:  int64(binary.NativeEndian.Uint64(buf[8:])),
			kind: buf[18],
			name: string(name),
		})
		buf = buf[length:]
	}
	return all
}
