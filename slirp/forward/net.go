// Package forward carries what a container sends to the world over sockets of
// the host, and the answers back.
package forward

import (
	"context"
	"errors"
	"net/netip"
	"os"

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
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, unix.ETIMEDOUT), errors.Is(err, context.Canceled):
		return silent
	}
	return refused
}

func address(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return addr
}
