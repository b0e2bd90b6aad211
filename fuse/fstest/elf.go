package fstest

import (
	"encoding/binary"
	"runtime"
)

// exit42 is the smallest program: a static ELF executable that exits with 42.
func exit42() string {
	le := binary.LittleEndian
	var machine uint16
	var code []byte
	switch runtime.GOARCH {
	case "amd64":
		machine = 62
		code = []byte{0xb8, 0x3c, 0, 0, 0 /* mov eax, 60 */, 0xbf, 42, 0, 0, 0 /* mov edi, 42 */, 0x0f, 0x05 /* syscall */}
	case "arm64":
		machine = 183
		for _, word := range []uint32{0xd2800ba8 /* mov x8, #93 */, 0xd2800540 /* mov x0, #42 */, 0xd4000001 /* svc #0 */} {
			code = le.AppendUint32(code, word)
		}
	default:
		panic("no program for " + runtime.GOARCH)
	}
	const base, headers = 0x400000, 64 + 56
	size := uint64(headers + len(code))
	b := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	b = le.AppendUint16(b, 2) // ET_EXEC
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+headers) // entry
	b = le.AppendUint64(b, 64)           // program headers
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, h := range []uint16{64, 56, 1, 0, 0, 0} {
		b = le.AppendUint16(b, h)
	}
	b = le.AppendUint32(b, 1) // PT_LOAD
	b = le.AppendUint32(b, 5) // r-x
	for _, v := range []uint64{0, base, base, size, size, 0x1000} {
		b = le.AppendUint64(b, v)
	}
	return string(append(b, code...))
}
