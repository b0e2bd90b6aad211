package link

import "encoding/binary"

// The virtio_net header of the device (linux/virtio_net.h), 10 bytes, little
// endian:
//
//	flags(1) gso_type(1) hdr_len(2) gso_size(2) csum_start(2) csum_offset(2)
const (
	HeaderSize = 10

	flagNeedsCsum = 1 // the checksum is to be completed from csum_start on
	flagDataValid = 2 // it was verified

	gsoNone  = 0
	gsoTCPv4 = 1
	gsoUDP   = 3
	gsoTCPv6 = 4
)

type vnet [HeaderSize]byte

func (h *vnet) checked() bool { return h[0]&(flagNeedsCsum|flagDataValid) != 0 }

// partial says that the transport checksum is the pseudo header's only.
func (h *vnet) partial(start, offset int) {
	h[0] |= flagNeedsCsum
	binary.LittleEndian.PutUint16(h[6:], uint16(start))
	binary.LittleEndian.PutUint16(h[8:], uint16(offset))
}

// segments has the kernel cut the packet into segments with size bytes of data.
func (h *vnet) segments(kind byte, headers, size int) {
	h[1] = kind
	binary.LittleEndian.PutUint16(h[2:], uint16(headers))
	binary.LittleEndian.PutUint16(h[4:], uint16(size))
}
