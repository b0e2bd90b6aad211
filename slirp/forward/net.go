// Package forward carries what a container sends to the world over sockets of
// the host, and the answers back.
package forward

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// Net is what the forwarders share.
type Net struct {
	Context context.Context
	// Allow gives the host's address for one that the container wants to
	// reach, or the reason why not.
	Allow func(netip.AddrPort) (netip.AddrPort, error)
	IsDNS func(netip.Addr) bool
	// Gateway is the gateway's address of a's family, which speaks for what cannot be reached.
	Gateway func(a netip.Addr) netip.Addr
	// Wire is the way back to an address of the container.
	Wire func(a netip.Addr) *Wire
}

// Why is how a failure is told to the container.
type Why int

const (
	silent     Why = iota // not at all
	refused               // a reset, or port unreachable
	NoHost                // host unreachable
	NoNetwork             // network unreachable
	Prohibited            // administratively prohibited
)

// ErrProhibited is the reason of what is refused by policy, ErrRefused of what is not there.
var (
	ErrProhibited = errors.New("prohibited")
	ErrRefused    = errors.New("refused")
)

func reason(err error) Why {
	switch {
	case errors.Is(err, ErrProhibited), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return Prohibited
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EADDRNOTAVAIL):
		return NoNetwork
	case errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EHOSTDOWN):
		return NoHost
	case errors.Is(err, unix.EMSGSIZE): // the path is narrower: the kernel knows it now, and fragments
		return silent
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, unix.ETIMEDOUT), errors.Is(err, context.Canceled):
		return silent
	}
	return refused
}

// tellErrors has a socket tell of each ICMP error. Without, the kernel keeps to itself
// what may pass, such as an unreachable host (icmp_err_convert in net/ipv4/icmp.c); the container's kernel
// is to decide that.
func tellErrors(c syscall.RawConn, to netip.Addr) {
	level, option := unix.IPPROTO_IP, unix.IP_RECVERR
	if to.Is6() && !to.Is4In6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_RECVERR
	}
	c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), level, option, 1) })
}

// forgetErrors empties the queue that a socket has then, which is charged to what it
// may receive.
func forgetErrors(fd int) {
	for range 64 {
		if _, _, _, _, err := unix.Recvmsg(fd, nil, nil, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT); err != nil {
			return
		}
	}
}

func address(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return addr
}
