package lan

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// directory is where members meet. It is held open: its sockets are reached
// through the descriptor, because an address has room for 107 bytes of path only.
type directory struct{ f *os.File }

// openDirectory refuses a directory that is not the caller's alone. The caller of this
// process, root in a user namespace, is the user who owns it outside.
func openDirectory(path string) (*directory, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	d := &directory{os.NewFile(uintptr(fd), path)}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		d.close()
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if int(st.Uid) != os.Geteuid() || st.Mode&0o077 != 0 {
		d.close()
		return nil, fault.New("remove it, rl makes it anew", "%s: not a directory that only its owner may enter (uid %d, mode %04o)", path, st.Uid, st.Mode&0o7777)
	}
	return d, nil
}

func (d *directory) close() error { return d.f.Close() }

func (d *directory) fd() int { return int(d.f.Fd()) }

// path is a name of the directory by way of its descriptor.
func (d *directory) path(name string) string {
	return "/proc/self/fd/" + strconv.Itoa(d.fd()) + "/" + name
}

func address(path string) *net.UnixAddr { return &net.UnixAddr{Net: "unixpacket", Name: path} }

// listen makes a member's socket. It is bound under another name and renamed, so that
// whoever sees it finds somebody listening. What a dead member left under the
// name is replaced: the address was leased anew.
func (d *directory) listen(name string) (*net.UnixListener, error) {
	unlock, err := d.lock(unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	fresh := "." + name + "." + newSession()[:8]
	l, err := net.ListenUnix("unixpacket", address(d.path(fresh)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.f.Name(), err)
	}
	l.SetUnlinkOnClose(false)
	if err := unix.Renameat(d.fd(), fresh, d.fd(), name); err != nil {
		l.Close()
		d.remove(fresh)
		return nil, &os.PathError{Op: "rename", Path: filepath.Join(d.f.Name(), name), Err: err}
	}
	return l, nil
}

// members are the names of the sockets that are there, of living members and dead ones.
func (d *directory) members() (names []string) {
	f, err := os.Open(d.path("."))
	if err != nil {
		return nil
	}
	defer f.Close()
	all, _ := f.Readdirnames(-1)
	for _, n := range all {
		if !strings.HasPrefix(n, ".") {
			names = append(names, n)
		}
	}
	return names
}

// dial connects to a member, nil when it is dead or not worth waiting for.
func (d *directory) dial(name string) *net.UnixConn {
	for range 100 {
		c, err := net.DialUnix("unixpacket", nil, address(d.path(name)))
		switch {
		case err == nil:
			return c
		case errors.Is(err, unix.ECONNREFUSED):
			d.sweep(name)
			return nil
		case errors.Is(err, unix.EAGAIN): // its backlog is full
			time.Sleep(10 * time.Millisecond)
		default:
			return nil
		}
	}
	return nil
}

// sweep removes the socket of a dead member, unless another has taken its place
// meanwhile: that is looked at again under a lock which members take shared when they
// come.
func (d *directory) sweep(name string) {
	unlock, err := d.lock(unix.LOCK_EX | unix.LOCK_NB)
	if err != nil {
		return
	}
	defer unlock()
	c, err := net.DialUnix("unixpacket", nil, address(d.path(name)))
	switch {
	case err == nil:
		c.Close()
	case errors.Is(err, unix.ECONNREFUSED):
		d.remove(name)
	}
}

func (d *directory) remove(name string) error { return unix.Unlinkat(d.fd(), name, 0) }

// lock takes the directory's flock, through a descriptor of its own.
func (d *directory) lock(how int) (unlock func() error, err error) {
	f, err := os.Open(d.path("."))
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("flock", err)
	}
	return f.Close, nil
}

// sameUser tells whether the process at the other end is the caller's user.
func sameUser(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var cred *unix.Ucred
	if cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); cerr != nil || err != nil {
		return false
	}
	return int(cred.Uid) == os.Geteuid()
}
