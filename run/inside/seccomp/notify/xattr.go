package notify

import (
	"encoding/binary"
	"strings"
)

const (
	maxName  = 255     // XATTR_NAME_MAX
	maxValue = 1 << 16 // XATTR_SIZE_MAX
)

func (s *server) setxattr(c *call, name, value, size uint64) {
	n, ok := s.cString(c, name, maxName)
	switch {
	case !s.valid(c):
	case !ok: // the kernel knows the right error: EFAULT, ERANGE, ESRCH …
		s.proceed(c)
	case rootOnly(n), isACL(n) && s.foreignACL(c, value, size):
		s.reply(c, 0)
	default:
		s.proceed(c)
	}
}

// setxattrat (6.13) has value and size in a struct xattr_args.
func (s *server) setxattrat(c *call, name, args, argsSize uint64) {
	buf := make([]byte, 16) // u64 value, u32 size, u32 flags
	n, err := s.memory(c.pid, args, buf)
	if argsSize < 16 || err != nil || n < len(buf) {
		s.proceed(c)
		return
	}
	s.setxattr(c, name, binary.NativeEndian.Uint64(buf), uint64(binary.NativeEndian.Uint32(buf[8:])))
}

// removexattr of a name that was only pretended to be set is pretended too. An
// access list may be real, and so is its removal.
func (s *server) removexattr(c *call, name uint64) {
	n, ok := s.cString(c, name, maxName)
	switch {
	case !s.valid(c):
	case ok && rootOnly(n):
		s.reply(c, 0)
	default:
		s.proceed(c)
	}
}

// rootOnly names need rights over the whole machine, or ids that are not here.
func rootOnly(name string) bool {
	return strings.HasPrefix(name, "security.") || strings.HasPrefix(name, "trusted.")
}

func isACL(name string) bool {
	return name == "system.posix_acl_access" || name == "system.posix_acl_default"
}

// foreignACL says whether an access control list names an id that has no
// mapping here, so that the kernel would refuse it. One that cannot be read is
// left to the kernel.
func (s *server) foreignACL(c *call, value, size uint64) bool {
	if size == 0 || size > maxValue {
		return false
	}
	buf := make([]byte, size)
	n, err := s.memory(c.pid, value, buf)
	return err == nil && n == len(buf) && s.ids.foreign(buf)
}

// foreign parses posix_acl_xattr: a version (2), then entries of
// tag (16 bits), permissions (16), id (32), all little endian.
func (m idMaps) foreign(acl []byte) bool {
	const (
		version  = 2
		tagUser  = 0x02 // ACL_USER
		tagGroup = 0x08 // ACL_GROUP
	)
	le := binary.LittleEndian
	if len(acl) < 4 || (len(acl)-4)%8 != 0 || le.Uint32(acl) != version {
		return false
	}
	for e := acl[4:]; len(e) > 0; e = e[8:] {
		switch id := le.Uint32(e[4:]); le.Uint16(e) {
		case tagUser:
			if !m.users.has(id) {
				return true
			}
		case tagGroup:
			if !m.groups.has(id) {
				return true
			}
		}
	}
	return false
}
