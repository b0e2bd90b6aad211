package tap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// netlink gathers rtnetlink requests, which flush sends with one system call. The
// kernel carries them out in order before that returns, and answers to those that
// failed and to the last one, which alone asks for it.
type netlink struct {
	fd   int
	buf  []byte
	from int      // where the present request begins
	what []string // of each request, for errors; "" for one whose failure is none
}

func dial() (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket(AF_NETLINK)", err)
	}
	return &netlink{fd: fd, buf: make([]byte, 0, 1024)}, nil
}

func (n *netlink) close() { unix.Close(n.fd) }

// begin begins a request; what says what for.
func (n *netlink) begin(what string, kind, flags uint16) {
	n.end()
	n.from = len(n.buf)
	n.what = append(n.what, what)
	n.buf = append(n.buf, 0, 0, 0, 0) // the length, see end
	n.buf = binary.NativeEndian.AppendUint16(n.buf, kind)
	n.buf = binary.NativeEndian.AppendUint16(n.buf, flags|unix.NLM_F_REQUEST)
	n.buf = binary.NativeEndian.AppendUint32(n.buf, uint32(len(n.what)))
	n.buf = append(n.buf, 0, 0, 0, 0) // our port: the kernel's choice
}

func (n *netlink) end() {
	if len(n.what) > 0 {
		binary.NativeEndian.PutUint32(n.buf[n.from:], uint32(len(n.buf)-n.from))
	}
}

// ifinfo is struct ifinfomsg.
func (n *netlink) ifinfo(index, flags, change uint32) {
	n.buf = append(n.buf, unix.AF_UNSPEC, 0, 0, 0)
	n.buf = binary.NativeEndian.AppendUint32(n.buf, index)
	n.buf = binary.NativeEndian.AppendUint32(n.buf, flags)
	n.buf = binary.NativeEndian.AppendUint32(n.buf, change)
}

// address is struct ifaddrmsg with its attributes. IPv6's needs no detection
// of duplicates: nobody else is on the link.
func (n *netlink) address(index uint32, a netip.Prefix) {
	flags := byte(0)
	if a.Addr().Is6() {
		flags = unix.IFA_F_NODAD
	}
	n.buf = append(n.buf, family(a.Addr()), byte(a.Bits()), flags, unix.RT_SCOPE_UNIVERSE)
	n.buf = binary.NativeEndian.AppendUint32(n.buf, index)
	n.attr(unix.IFA_LOCAL, a.Addr().AsSlice())
	n.attr(unix.IFA_ADDRESS, a.Addr().AsSlice())
}

// route is struct rtmsg of a default route with its attributes.
func (n *netlink) route(index uint32, gateway netip.Addr, metric uint32) {
	n.buf = append(n.buf, family(gateway), 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0)
	n.attr(unix.RTA_GATEWAY, gateway.AsSlice())
	n.attr(unix.RTA_OIF, native32(index))
	if metric > 0 {
		n.attr(unix.RTA_PRIORITY, native32(metric))
	}
}

func (n *netlink) attr(kind uint16, value []byte) {
	n.buf = binary.NativeEndian.AppendUint16(n.buf, uint16(4+len(value)))
	n.buf = binary.NativeEndian.AppendUint16(n.buf, kind)
	n.buf = append(n.buf, value...)
	for len(n.buf)%4 != 0 {
		n.buf = append(n.buf, 0)
	}
}

// nest is an attribute whose value is attributes.
func (n *netlink) nest(kind uint16, inner func()) {
	at := len(n.buf)
	n.attr(kind|unix.NLA_F_NESTED, nil)
	inner()
	binary.NativeEndian.PutUint16(n.buf[at:], uint16(len(n.buf)-at))
}

// flush sends the requests and takes the kernel's answers. Requests after one
// that failed are carried out all the same; the first error is told.
func (n *netlink) flush() error {
	n.end()
	flags := n.buf[n.from+6:]
	binary.NativeEndian.PutUint16(flags, binary.NativeEndian.Uint16(flags)|unix.NLM_F_ACK)
	if err := again(func() error { return unix.Sendto(n.fd, n.buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) }); err != nil {
		return os.NewSyscallError("rtnetlink: sendto", err)
	}
	var first error
	answer := make([]byte, 4096) // a message, or the error and the request it answers
	for {
		var size int
		if err := again(func() (err error) { size, _, err = unix.Recvfrom(n.fd, answer, 0); return err }); err != nil {
			return os.NewSyscallError("rtnetlink: recvfrom", err)
		}
		last, err := n.read(answer[:size])
		if first == nil {
			first = err
		}
		if last {
			return first
		}
	}
}

// read reads what came with one recvfrom(2). It tells whether the last request was
// answered, and the first error.
func (n *netlink) read(msgs []byte) (last bool, first error) {
	const head = unix.SizeofNlMsghdr
	for len(msgs) >= head {
		length := int(binary.NativeEndian.Uint32(msgs))
		if length < head || length > len(msgs) {
			break
		}
		m := msgs[:length]
		msgs = msgs[min(len(msgs), (length+3)&^3):]
		seq := int(binary.NativeEndian.Uint32(m[8:]))
		if binary.NativeEndian.Uint16(m[4:]) != unix.NLMSG_ERROR || length < head+4 || seq < 1 || seq > len(n.what) {
			continue
		}
		last = last || seq == len(n.what)
		if errno := unix.Errno(-int32(binary.NativeEndian.Uint32(m[head:]))); errno != 0 && first == nil && n.what[seq-1] != "" {
			first = fmt.Errorf("%s: %w", n.what[seq-1], errno)
		}
	}
	if len(msgs) > 0 {
		return true, errors.Join(first, errors.New("rtnetlink: an answer was cut off"))
	}
	return last, first
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func native32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
