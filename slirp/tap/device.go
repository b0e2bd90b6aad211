package tap

import (
	"encoding/binary"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// Device is an open tap device. It is there until [Remove], or until the network
// namespace ends: a device that went with its file would have whoever closes that
// wait for the kernel to take it down, some 20 ms at the end of each container.
type Device struct {
	// File is non-blocking and waits in Go's poller. It must not be asked for its
	// descriptor by Fd, which would make it blocking: SyscallConn does not.
	File *os.File
	// Offload says that the kernel takes and gives segments of up to 64 KB and
	// packets without a checksum, described in the virtio_net header (10 bytes, little
	// endian) that stands before each frame in any case.
	Offload bool
}

// What the other side may leave to us (linux/if_tun.h).
const (
	tunFCsum   = 0x01
	tunFTSO4   = 0x02
	tunFTSO6   = 0x04
	tunFTSOECN = 0x08
)

// Open makes a tap device in the calling thread's network namespace: call it in
// [Namespace.Do].
func Open(name string) (*Device, error) {
	const path = "/dev/net/tun"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, Explain(&os.PathError{Op: "open", Path: path, Err: err})
	}
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err == nil && !littleEndian() { // the header's order is the machine's by default
		err = unix.IoctlSetPointerInt(fd, unix.TUNSETVNETLE, 1)
	}
	if err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "make the device " + name + " with", Path: path, Err: err}
	}
	d := &Device{Offload: unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, tunFCsum|tunFTSO4|tunFTSO6|tunFTSOECN) == nil}
	unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1) // else it goes with the file, and that takes longer
	d.File = os.NewFile(uintptr(fd), path)
	return d, nil
}

// Remove takes a device away and closes its file.
func Remove(file *os.File) error {
	c, err := file.SyscallConn()
	if err == nil {
		c.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TUNSETPERSIST, 0) })
	}
	return errors.Join(err, file.Close())
}

func littleEndian() bool { return binary.NativeEndian.Uint16([]byte{1, 0}) == 1 }

// Explain adds what to do about an error of opening /dev/net/tun.
func Explain(err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		hint = "an administrator can load the driver: modprobe tun; in a container: give it --device /dev/net/tun"
	case errors.Is(err, unix.EACCES):
		hint = "an administrator can open it: chmod 0666 /dev/net/tun"
	case errors.Is(err, unix.EPERM):
		hint = "the device cgroup of an outer container forbids it: give that --device /dev/net/tun"
	}
	return fault.New(hint, "%w", err)
}
