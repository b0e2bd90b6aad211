package sys

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Socket is one end of a pair that carries messages and descriptors between two
// processes of rl: AF_UNIX, SOCK_SEQPACKET, close-on-exec.
type Socket struct{ fd int }

// MaxMessage is the longest message in bytes; longer things travel in a memfd.
const MaxMessage = 32 << 10

// MaxRights is the most descriptors that come with one message. The kernel's limit
// is 253 (SCM_MAX_FD).
const MaxRights = 128

// Socketpair makes two connected sockets.
func Socketpair() (a, b *Socket, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return &Socket{fds[0]}, &Socket{fds[1]}, nil
}

// SocketAt takes over a socket that was donated as descriptor fd.
func SocketAt(fd int) *Socket {
	unix.CloseOnExec(fd)
	return &Socket{fd}
}

// Fd is the descriptor's number; the socket keeps it.
func (s *Socket) Fd() int { return s.fd }

// Close closes the descriptor.
func (s *Socket) Close() error { return unix.Close(s.fd) }

// Send sends one message with descriptors. EPIPE means that the other end is
// closed.
func (s *Socket) Send(msg []byte, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(s.fd, msg, rights, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// Recv waits for one message. At the end, when the other process has closed its
// socket or died, it gives io.EOF. Descriptors come close-on-exec.
func (s *Socket) Recv() (msg []byte, files []*os.File, err error) {
	buf := make([]byte, MaxMessage)
	oob := make([]byte, unix.CmsgSpace(4*MaxRights))
	var n, oobn, flags int
	for {
		n, oobn, flags, _, err = unix.Recvmsg(s.fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		// The other end was closed with something unread. That is told once, and before
		// what it had sent itself, which is still there.
		if err != unix.EINTR && err != unix.ECONNRESET {
			break
		}
	}
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("recvmsg: %w", err)
	}
	if files, err = rights(oob[:oobn]); err != nil {
		return nil, nil, err
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		for _, f := range files {
			f.Close()
		}
		return nil, nil, errors.New("recvmsg: message too long")
	}
	if n == 0 { // the end, or nothing that anybody sends
		for _, f := range files {
			f.Close()
		}
		return nil, nil, io.EOF
	}
	return buf[:n], files, nil
}

func rights(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("recvmsg: %w", err)
	}
	var files []*os.File
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return files, fmt.Errorf("recvmsg: %w", err)
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "donated"))
		}
	}
	return files, nil
}
