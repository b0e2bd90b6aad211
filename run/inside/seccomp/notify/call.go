package notify

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// A call is a notified system call: struct seccomp_notif.
type call struct {
	id   uint64
	pid  int // the thread, as this process's pid namespace numbers it; 0 when it has no number there
	nr   uint32
	arch uint32
	args [6]uint64
}

const (
	ioctlIDValid  = 0x40082102 // SECCOMP_IOCTL_NOTIF_ID_VALID
	ioctlSetFlags = 0x40082104 // SECCOMP_IOCTL_NOTIF_SET_FLAGS

	notifBytes = 80 // sizeof(struct seccomp_notif) since 5.0
	respBytes  = 24
)

// notifSize is the kernel's size of struct seccomp_notif, which may grow.
func notifSize() (int, error) {
	notif, err := getNotifSizes()
	return max(notif, notifBytes), err
}

// receive takes the next call. ENOENT: its caller died before.
func (s *server) receive(size int) (*call, error) {
	buf := make([]byte, size) // the kernel insists on zeroes
	if err := ioctlBytes(s.fd, unix.SECCOMP_IOCTL_NOTIF_RECV, buf); err != nil {
		return nil, err
	}
	ne := binary.NativeEndian
	c := &call{id: ne.Uint64(buf), pid: int(ne.Uint32(buf[8:])), nr: ne.Uint32(buf[16:]), arch: ne.Uint32(buf[20:])}
	for i := range c.args {
		c.args[i] = ne.Uint64(buf[32+8*i:])
	}
	return c, nil
}

// valid says whether the caller still waits in this call. What was read by its
// pid before a true answer was the caller's, not that of a process which got
// the number afterwards.
func (s *server) valid(c *call) bool { return ioctlValue(s.fd, ioctlIDValid, c.id) == nil }

// reply ends the call with 0 or an errno. It is false when nobody waits any
// more: the caller died, or (before 5.19) a signal interrupted it and it may
// come again.
func (s *server) reply(c *call, errno unix.Errno) bool {
	return s.send(c, -int32(errno), 0) == nil
}

// proceed lets the kernel execute the call with the caller's own rights. Linux
// 5.0 to 5.4 cannot (EINVAL): there an attribute is "not supported".
func (s *server) proceed(c *call) {
	if s.send(c, 0, unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE) == unix.EINVAL {
		s.reply(c, unix.EOPNOTSUPP)
	}
}

func (s *server) send(c *call, errno int32, flags uint32) error {
	buf := make([]byte, 0, respBytes)
	buf = binary.NativeEndian.AppendUint64(buf, c.id)
	buf = binary.NativeEndian.AppendUint64(buf, 0) // val
	buf = binary.NativeEndian.AppendUint32(buf, uint32(errno))
	buf = binary.NativeEndian.AppendUint32(buf, flags)
	for {
		if err := ioctlBytes(s.fd, unix.SECCOMP_IOCTL_NOTIF_SEND, buf); err != unix.EINTR {
			return err
		}
	}
}
