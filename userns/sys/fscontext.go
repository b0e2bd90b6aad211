package sys

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// FSContext is a filesystem being configured, of fsopen(2): options are given
// one a call, so that no page limits their length, and the kernel's complaints
// can be read back by an ordinary user. Linux 5.2.
//
// A value of fsconfig(2) holds at most 255 bytes, a fact that its manual page
// does not dwell on.
type FSContext struct {
	fd     int
	fstype string
}

// Fsopen begins to configure a filesystem of the given type.
func Fsopen(fstype string) (*FSContext, error) {
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
		return err
	})
	if err != nil {
		return nil, &MountError{Call: "fsopen", Type: fstype, Err: err}
	}
	return &FSContext{fd: fd, fstype: fstype}, nil
}

// Set gives an option with a value, at most 255 bytes.
func (c *FSContext) Set(key, value string) error {
	return c.wrap("fsconfig", key+"="+value, again(func() error { return unix.FsconfigSetString(c.fd, key, value) }))
}

// Flag gives an option without a value.
func (c *FSContext) Flag(key string) error {
	return c.wrap("fsconfig", key, again(func() error { return unix.FsconfigSetFlag(c.fd, key) }))
}

// Create makes the superblock of what was configured.
func (c *FSContext) Create() error {
	return c.wrap("fsconfig", "create", again(func() error { return unix.FsconfigCreate(c.fd) }))
}

// Fsmount makes a detached mount with MOUNT_ATTR_* attributes. The descriptor
// is the caller's: attach it with [MoveMount], then close it.
func (c *FSContext) Fsmount(attr int) (fd int, err error) {
	err = again(func() (err error) {
		fd, err = unix.Fsmount(c.fd, unix.FSMOUNT_CLOEXEC, attr)
		return err
	})
	if err != nil {
		return -1, c.wrap("fsmount", "", err)
	}
	return fd, nil
}

// Close drops the context; a superblock that is mounted stays.
func (c *FSContext) Close() error { return unix.Close(c.fd) }

func (c *FSContext) wrap(call, data string, err error) error {
	if err == nil {
		return nil
	}
	return &MountError{Call: call, Type: c.fstype, Data: data, Log: c.log(), Err: err}
}

// log reads what the kernel has to say: one message a read, "e ", "w " or "i "
// before the text, ENODATA when there is no more.
func (c *FSContext) log() []string {
	var lines []string
	buf := make([]byte, 1024)
	for len(lines) < 16 {
		n, err := unix.Read(c.fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		line := strings.TrimSpace(string(buf[:n]))
		if len(line) > 2 && line[1] == ' ' {
			line = line[2:]
		}
		lines = append(lines, line)
	}
	return lines
}
