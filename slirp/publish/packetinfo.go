package publish

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// destination is to which of the host's addresses a datagram came, out of the control
// messages that came with it (IP_PKTINFO, IPV6_RECVPKTINFO).
func destination(oob []byte) netip.Addr {
	for len(oob) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			break
		}
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(data[4:8])) // ipi_spec_dst: ours, also when it was a broadcast
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			if a := netip.AddrFrom16([16]byte(data[:16])); !a.IsMulticast() {
				return a
			}
		}
		oob = rest
	}
	return netip.Addr{}
}

// packetInfo is the control message that has a datagram sent from an address of the
// host; nil leaves the choice to the kernel. The interface follows from the route.
func packetInfo(from netip.Addr) []byte {
	switch {
	case from.Is4():
		info := unix.Inet4Pktinfo{Spec_dst: from.As4()}
		return unix.PktInfo4(&info)
	case from.Is6():
		info := unix.Inet6Pktinfo{Addr: from.As16()}
		return unix.PktInfo6(&info)
	}
	return nil
}
