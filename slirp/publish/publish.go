// Package publish carries connections that the world makes to ports of the host
// into a container.
//
//	front (caller's namespaces)       monitor (host's network)            container's network namespace
//
//	Bind: sockets that listen  ═fds═▶ Serve: accept ─ splice ─ socket ══▶ 10.0.2.100:80
//	                                         recvmmsg ─ flow ─ socket ══▶ 10.0.2.100:53
//	                                                           made inside by Sockets, bound to
//	                                                           the client's own address
//
// The bytes never pass the user-mode stack: the monitor has a socket on each
// side, and the kernel moves pages from one to the other.
//
// The program in the container sees who connected, because the inner socket is
// transparent (IP_TRANSPARENT): it is bound to the client's address and port,
// though no interface has them. Replies would leave by the tap device; a policy
// rule for the published port, and a local route for each client that is being
// served, bring them to the inner socket. Both are in routes.go. What the
// container sends on its own account, even from a published port, goes where
// it would have gone.
//
// The client's address cannot be kept, and the gateway's stands for it, when it
// means something else inside (127.0.0.1, link-local, an address of the
// container's own network), when the container has no address of that family,
// or when the program listens on the other family only.
//
// What it refuses: more connections and flows than its tables hold. A
// connection beyond is reset; the flow that was silent for longest makes room.
package publish

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
)

// Port is a port of the host that stands for one of the container.
type Port struct {
	Proto         string     // tcp or udp
	HostIP        netip.Addr // invalid: all addresses, of both families
	HostPort      uint16     // 0: one that is free
	ContainerPort uint16
}

func (p Port) String() string {
	ip := "*"
	if p.HostIP.IsValid() {
		ip = p.HostIP.String()
	}
	return net.JoinHostPort(ip, strconv.Itoa(int(p.HostPort))) + "/" + p.Proto
}

// Bound is a port with the sockets that have it: one, or one of each family.
type Bound struct {
	Port
	Files []*os.File
}

// Close gives the port back.
func (b Bound) Close() {
	for _, f := range b.Files {
		f.Close()
	}
}

// Inside makes connections to the container. The client is who connected, as the
// host sees it; its family need not be one that the container has. A port at which
// nobody listens is ECONNREFUSED.
//
// A connection that is a kernel socket (has SyscallConn) is spliced; any other
// is copied, and if it has CloseWrite it can be half-closed.
type Inside interface {
	DialTCP(ctx context.Context, client netip.AddrPort, port uint16) (net.Conn, error)
	DialUDP(ctx context.Context, client netip.AddrPort, port uint16) (net.Conn, error)
}
