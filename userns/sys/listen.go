package sys

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Listener is a listening socket of the kind that [Socket] is.
type Listener struct{ fd int }

// Listen makes a socket at path, in place of whatever is there. It appears when it
// listens, so that one which refuses is a dead process's.
func Listen(path string) (*Listener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	fresh := path + ".new"
	err = bind(fd, fresh)
	if errors.Is(err, unix.EADDRINUSE) {
		os.Remove(fresh)
		err = bind(fd, fresh)
	}
	if err == nil {
		err = unix.Listen(fd, 128)
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "listen", Path: path, Err: err}
	}
	return &Listener{fd}, nil
}

// bind and Dial name the socket by its directory's descriptor where the path is
// longer than the 107 bytes that an address has.
func bind(fd int, path string) error {
	return short(path, func(p string) error { return unix.Bind(fd, &unix.SockaddrUnix{Name: p}) })
}

// Dial connects to a listening socket.
func Dial(path string) (*Socket, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := short(path, func(p string) error { return unix.Connect(fd, &unix.SockaddrUnix{Name: p}) }); err != nil {
		unix.Close(fd)
		return nil, &os.PathError{Op: "connect", Path: path, Err: err}
	}
	return &Socket{fd}, nil
}

func short(path string, do func(string) error) error {
	const longest = 107
	if len(path) <= longest {
		return do(path)
	}
	i := len(path) - 1
	for i > 0 && path[i] != '/' {
		i--
	}
	dir, err := unix.Open(path[:i+1], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return do("/proc/self/fd/" + strconv.Itoa(dir) + path[i:])
}

// Peer is the process at the other end, as this process's pid namespace numbers it.
func (s *Socket) Peer() (pid int, err error) {
	c, err := unix.GetsockoptUcred(s.fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(c.Pid), nil
}

// Accept waits for a connection.
func (l *Listener) Accept() (*Socket, error) {
	for {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
		if err == nil {
			return &Socket{fd}, nil
		}
		if err != unix.EINTR && err != unix.ECONNABORTED {
			return nil, err
		}
	}
}
