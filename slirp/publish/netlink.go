package publish

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// netlink is a rtnetlink socket of the container's network namespace. A socket
// belongs to the namespace it was made in, so any thread may use it.
type netlink struct {
	fd  int
	seq uint32
	buf []byte

	devices map[netip.Addr]uint32
}

// openNetlink must run on the namespace's thread.
func openNetlink() (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1) // an ACK need not repeat the request
	return &netlink{fd: fd, devices: devicesOf()}, nil
}

// close makes later requests fail.
func (n *netlink) close() {
	unix.Close(n.fd)
	n.fd = -1
}

// addRule has packets of a protocol that come from ports low to high looked up
// in a table. It is like
//
//	ip rule add priority 100 ipproto tcp sport 80-80 lookup 100
func (n *netlink) addRule(family, proto, table int, low, high uint16) error {
	return n.rule(family, proto, table, unix.FRA_SPORT_RANGE, low, high)
}

// addUnreachableRule does so with the message that there is no such UDP port. A rule
// has no words for it, but the kernel compares what would be the destination port,
// and has an ICMP message's type and code there.
//
//	ip rule add priority 100 ipproto icmp dport 771 lookup 101
func (n *netlink) addUnreachableRule(family, table int) error {
	proto, message := unix.IPPROTO_ICMP, uint16(3<<8|3)
	if family == unix.AF_INET6 {
		proto, message = unix.IPPROTO_ICMPV6, 1<<8|4
	}
	return n.rule(family, proto, table, unix.FRA_DPORT_RANGE, message, message)
}

func (n *netlink) rule(family, proto, table int, ports, low, high uint16) error {
	n.begin(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	n.buf = append(n.buf, byte(family), 0, 0, 0, byte(table), 0, 0, unix.FR_ACT_TO_TBL, 0, 0, 0, 0) // struct fib_rule_hdr
	n.attr(unix.FRA_PRIORITY, binary.NativeEndian.AppendUint32(nil, rulePriority))
	n.attr(unix.FRA_IP_PROTO, []byte{byte(proto)})
	n.attr(ports, binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, low), high))
	return n.done()
}

// local adds or removes (RTM_NEWROUTE, RTM_DELROUTE) the route that makes an address
// local in a table. It is like
//
//	ip route add local 203.0.113.7 dev eth0 src 10.0.2.100 table 100
//
// Without the source, a program that answers through an unbound UDP socket would
// answer from the client's own address. The device makes no difference to where the
// packets go, which is lo, but has to be the one that the program was told by
// IP_PKTINFO and names in its answer: that of the address (in IPv6 it is lo).
func (n *netlink) local(request uint16, table int, addr, src netip.Addr) error {
	device := uint32(loopback)
	if i, ok := n.devices[src]; ok && src.Is4() {
		device = i
	}
	family := byte(unix.AF_INET)
	if addr.Is6() {
		family = unix.AF_INET6
	}
	n.begin(request, unix.NLM_F_CREATE)
	n.buf = append(n.buf, family, byte(addr.BitLen()), 0, 0, byte(table), // struct rtmsg
		unix.RTPROT_STATIC, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0)
	n.attr(unix.RTA_DST, addr.AsSlice())
	n.attr(unix.RTA_PREFSRC, src.AsSlice())
	n.attr(unix.RTA_OIF, binary.NativeEndian.AppendUint32(nil, device))
	return n.done()
}

// loopback is the index of lo in every network namespace.
const loopback = 1

// devicesOf are the devices of the calling thread's network namespace, by address.
func devicesOf() map[netip.Addr]uint32 {
	m := map[netip.Addr]uint32{}
	list, _ := net.Interfaces()
	for _, i := range list {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				m[p.Addr()] = uint32(i.Index)
			}
		}
	}
	return m
}

func (n *netlink) begin(request, flags uint16) {
	n.seq++
	n.buf = append(n.buf[:0], 0, 0, 0, 0) // the length, set by done
	n.buf = binary.NativeEndian.AppendUint16(n.buf, request)
	n.buf = binary.NativeEndian.AppendUint16(n.buf, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	n.buf = binary.NativeEndian.AppendUint32(n.buf, n.seq)
	n.buf = append(n.buf, 0, 0, 0, 0) // our port, set by the kernel
}

func (n *netlink) attr(kind uint16, value []byte) {
	n.buf = binary.NativeEndian.AppendUint16(n.buf, uint16(4+len(value)))
	n.buf = binary.NativeEndian.AppendUint16(n.buf, kind)
	n.buf = append(n.buf, value...)
	for len(n.buf)%unix.NLMSG_ALIGNTO != 0 {
		n.buf = append(n.buf, 0)
	}
}

// done sends the request. The kernel carries it out within sendto(2), so the answer
// is there at once. What exists already, or is gone already, is no error.
func (n *netlink) done() error {
	binary.NativeEndian.PutUint32(n.buf, uint32(len(n.buf)))
	if err := again(func() error { return unix.Sendto(n.fd, n.buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) }); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	for range 16 {
		var answer [512]byte
		var size int
		err := again(func() (err error) { size, _, err = unix.Recvfrom(n.fd, answer[:], 0); return err })
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		if size < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint32(answer[8:]) != n.seq {
			continue
		}
		if kind := binary.NativeEndian.Uint16(answer[4:]); kind != unix.NLMSG_ERROR {
			return fmt.Errorf("rtnetlink: answer of type %d", kind)
		}
		switch errno := unix.Errno(-int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:]))); errno {
		case 0, unix.EEXIST, unix.ESRCH:
			return nil
		default:
			return os.NewSyscallError("rtnetlink", errno)
		}
	}
	return fmt.Errorf("rtnetlink: no answer")
}

// again calls until a signal did not interrupt it.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
