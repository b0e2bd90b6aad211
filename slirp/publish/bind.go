package publish

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// backlog of a listening socket; the kernel lowers it to net.core.somaxconn.
const backlog = 4096

// anyTries is how often a free port of one family may turn out to be taken in the
// other.
const anyTries = 32

// ErrInUse says that somebody has the port.
var ErrInUse = errors.New("already in use")

// Bind takes the ports with the caller's own privileges, in the caller's network
// namespace: all of them, or none.
func Bind(ports []Port) (bound []Bound, err error) {
	defer func() {
		if err != nil {
			for _, b := range bound {
				b.Close()
			}
			bound = nil
		}
	}()
	for _, p := range ports {
		b, err := bind(p)
		if err != nil {
			return bound, err
		}
		bound = append(bound, b)
	}
	return bound, nil
}

func bind(p Port) (Bound, error) {
	if p.Proto != "tcp" && p.Proto != "udp" {
		return Bound{}, fmt.Errorf("port %d: unknown protocol %q", p.ContainerPort, p.Proto)
	}
	if p.HostIP.IsValid() {
		p.HostIP = p.HostIP.Unmap()
		f, port, err := listen(p, p.HostIP)
		if err != nil {
			return Bound{}, refusal(p, p.HostIP, err)
		}
		p.HostPort = port
		return Bound{p, []*os.File{f}}, nil
	}
	for try := 1; ; try++ {
		b, addr, err := bindAll(p)
		switch {
		case err == nil:
			return b, nil
		case p.HostPort == 0 && errors.Is(err, unix.EADDRINUSE) && try < anyTries:
		default:
			return Bound{}, refusal(p, addr, err)
		}
	}
}

// bindAll binds a port on 0.0.0.0 and, where the host has IPv6, on [::]. They are
// two sockets, so that an IPv4 client is never seen as ::ffff:a.b.c.d. It
// returns the address that could not be had, too.
func bindAll(p Port) (b Bound, addr netip.Addr, err error) {
	b.Port = p
	for _, addr := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		f, port, err := listen(b.Port, addr)
		if noFamily(err) && (addr.Is4() || len(b.Files) > 0) {
			continue
		}
		if err != nil {
			b.Close()
			return Bound{}, addr, err
		}
		b.HostPort = port
		b.Files = append(b.Files, f)
	}
	return b, netip.Addr{}, nil
}

// noFamily reports whether an error says that the host has no such addresses at all:
// IPv6 is compiled out, or disabled by a sysctl.
func noFamily(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)
}

// listen makes one socket and says which port it got.
func listen(p Port, addr netip.Addr) (f *os.File, port uint16, err error) {
	family, kind := unix.AF_INET, unix.SOCK_STREAM
	if addr.Is6() {
		family = unix.AF_INET6
	}
	if p.Proto == "udp" {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, 0, os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := prepare(fd, family, kind); err != nil {
		return nil, 0, err
	}
	sa, err := sockaddr(netip.AddrPortFrom(addr, p.HostPort))
	if err != nil {
		return nil, 0, err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return nil, 0, os.NewSyscallError("bind", err)
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(fd, backlog); err != nil {
			return nil, 0, os.NewSyscallError("listen", err)
		}
	}
	port, err = portOf(fd)
	if err != nil {
		return nil, 0, err
	}
	return os.NewFile(uintptr(fd), p.Proto+" "+netip.AddrPortFrom(addr, port).String()), port, nil
}

// prepare sets what must be set before bind(2). A TCP port that has connections
// in TIME_WAIT is free (SO_REUSEADDR); on UDP that option would let two
// programs have one port. A UDP socket tells to which address of the host a
// datagram came, as the answer must come from there.
func prepare(fd, family, kind int) error {
	set := func(level, option int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, option, 1))
	}
	var errs []error
	if family == unix.AF_INET6 {
		errs = append(errs, set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY))
	}
	switch {
	case kind == unix.SOCK_STREAM:
		errs = append(errs, set(unix.SOL_SOCKET, unix.SO_REUSEADDR))
	case family == unix.AF_INET6:
		errs = append(errs, set(unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO))
	default:
		errs = append(errs, set(unix.IPPROTO_IP, unix.IP_PKTINFO))
	}
	return errors.Join(errs...)
}

func portOf(fd int) (uint16, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port), nil
	case *unix.SockaddrInet6:
		return uint16(sa.Port), nil
	}
	return 0, fmt.Errorf("getsockname: %T", sa)
}

// sockaddr is an address as the kernel takes it. A zone is an interface's name or
// number.
func sockaddr(a netip.AddrPort) (unix.Sockaddr, error) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}, nil
	}
	sa := &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
	if zone := a.Addr().Zone(); zone != "" {
		n, err := strconv.Atoi(zone)
		if err != nil {
			i, err := net.InterfaceByName(zone)
			if err != nil {
				return nil, fmt.Errorf("interface %s: %w", zone, err)
			}
			n = i.Index
		}
		sa.ZoneId = uint32(n)
	}
	return sa, nil
}

// refusal says why a port was not had, and what to do.
func refusal(p Port, addr netip.Addr, err error) error {
	what := fmt.Sprintf("port %d/%s on %s", p.HostPort, p.Proto, addr)
	switch {
	case errors.Is(err, unix.EADDRINUSE) && p.HostPort == 0:
		return fault.New("", "no free port for %d/%s on %s", p.ContainerPort, p.Proto, addr)
	case errors.Is(err, unix.EADDRINUSE):
		return fault.New("end who has it (ss -lnp shows them), or publish another port of the host",
			"%s is %w", what, ErrInUse)
	case errors.Is(err, unix.EACCES):
		return fault.New(fmt.Sprintf("publish a port from 1024 on, as -p %d:%d; or let an administrator run\n"+
			"sysctl net.ipv4.ip_unprivileged_port_start=%d", 8000+int(p.HostPort)%1000, p.ContainerPort, p.HostPort),
			"%s needs a privilege that you do not have: permission denied", what)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fault.New("ip address shows the addresses that this host has", "%s: this host does not have that address", what)
	case errors.Is(err, unix.EAFNOSUPPORT):
		return fault.New("", "%s: this host does not have IPv6", what)
	}
	return fmt.Errorf("%s: %w", what, err)
}
