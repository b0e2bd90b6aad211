package publish

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize   = 32       // datagrams that one system call moves
	maxDatagram = 64 << 10 // more than UDP can carry
)

// batch is a number of datagrams, with room for any. Two megabytes, of which the
// kernel touches what it fills.
type batch struct {
	data    []byte
	in, out [batchSize]mmsghdr
	iov     [batchSize]unix.Iovec
	names   [batchSize]unix.RawSockaddrInet6 // the longest
	oob     [batchSize][64]byte              // for one in6_pktinfo
}

// mmsghdr is struct mmsghdr of 64-bit machines.
type mmsghdr struct {
	unix.Msghdr
	len uint32
	_   uint32
}

// batches are taken for datagrams that are there, not to wait for some.
var batches = sync.Pool{New: func() any {
	b := &batch{data: make([]byte, batchSize*maxDatagram)}
	for i := range batchSize {
		b.iov[i].Base = &b.data[i*maxDatagram]
		b.in[i].Iov, b.out[i].Iov = &b.iov[i], &b.iov[i]
		b.in[i].SetIovlen(1)
		b.out[i].SetIovlen(1)
		b.in[i].Name = (*byte)(unsafe.Pointer(&b.names[i]))
		b.in[i].Control = &b.oob[i][0]
	}
	return b
}}

// receive takes what is there, EAGAIN when nothing is.
func (b *batch) receive(fd int) (n int, err error) {
	for i := range b.in {
		b.in[i].Namelen = unix.SizeofSockaddrInet6
		b.in[i].SetControllen(len(b.oob[i]))
		b.iov[i].SetLen(maxDatagram)
	}
	err = again(func() error {
		r, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.in)), batchSize, unix.MSG_DONTWAIT, 0, 0)
		n = int(r)
		return failure(errno)
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// payload is the datagram that was received as number i.
func (b *batch) payload(i int) []byte { return b.data[i*maxDatagram:][:b.in[i].len] }

func (b *batch) control(i int) []byte { return b.oob[i][:b.in[i].Controllen] }

// from is who sent it.
func (b *batch) from(i int) netip.AddrPort {
	a := &b.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&a.Port))[:])
	if a.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(a)).Addr), port)
	}
	ip := netip.AddrFrom16(a.Addr)
	if a.Scope_id != 0 {
		ip = ip.WithZone(strconv.FormatUint(uint64(a.Scope_id), 10))
	}
	return netip.AddrPortFrom(ip, port)
}

// address is where datagrams go through a socket that is not connected: the other end,
// and a control message that names our own.
type address struct {
	name    unix.RawSockaddrInet6
	namelen uint32
	control []byte
}

// sender is the address of who sent number i.
func (b *batch) sender(i int) *address {
	return &address{name: b.names[i], namelen: b.in[i].Namelen}
}

// send sends the datagrams from number first to last, without last, to an address, or
// nil for a connected socket. It does not wait: where there is no room for one, that
// is lost, as UDP does.
func (b *batch) send(fd, first, last int, to *address) {
	for i := first; i < last; i++ {
		b.iov[i].SetLen(int(b.in[i].len))
		h := &b.out[i]
		h.Name, h.Namelen, h.Control = nil, 0, nil
		h.SetControllen(0)
		if to != nil {
			h.Name, h.Namelen = (*byte)(unsafe.Pointer(&to.name)), to.namelen
			if len(to.control) > 0 {
				h.Control = &to.control[0]
				h.SetControllen(len(to.control))
			}
		}
	}
	refused := false
	for first < last {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.out[first])), uintptr(last-first),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch {
		case errno == 0:
			first += int(n)
		case errno == unix.EINTR:
		case errno == unix.ECONNREFUSED && !refused: // about the one before: this one was not sent
			refused = true
		case errno == unix.EAGAIN || errno == unix.EBADF:
			return
		default:
			first++ // this one cannot be sent: it is too long, say
		}
	}
}

func failure(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
