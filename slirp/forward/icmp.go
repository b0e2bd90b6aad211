package forward

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Bounds of ICMP.
const (
	maxPings = 256
	pingAge  = 30 * time.Second
)

// ICMP carries echo requests by ping sockets, which the host's kernel gives to the
// groups of net.ipv4.ping_group_range without privileges. Where it
// gives none the container is told that echo is prohibited.
type ICMP struct {
	Net *Net

	mu       sync.Mutex
	pings    map[pingKey]*ping
	sweeping bool
}

type pingKey struct {
	src, dst netip.Addr
	id       uint16
}

type ping struct {
	icmp *ICMP
	wire *Wire
	key  pingKey
	file *os.File
	raw  syscall.RawConn
	used atomic.Int64
}

// Packet takes an ICMP message of the container, which is only valid during the
// call. It tells whether it was an echo request, all that is carried.
func (c *ICMP) Packet(w *Wire, src, dst netip.Addr, msg []byte) bool {
	if len(msg) < header.ICMPv4MinimumSize || !isEcho(dst, msg[0]) {
		return false
	}
	key := pingKey{src, dst, binary.BigEndian.Uint16(msg[4:])}
	p, err := c.ping(w, key)
	if err == nil && p != nil {
		err = p.send(msg)
	}
	if err != nil {
		proto := tcpip.TransportProtocolNumber(header.ICMPv4ProtocolNumber)
		if !dst.Is4() {
			proto = header.ICMPv6ProtocolNumber
		}
		if why := reason(err); why != silent {
			if why == refused {
				why = NoHost
			}
			w.Unreachable(c.Net.Gateway(src), src, dst, proto, msg, why)
		}
	}
	return true
}

func isEcho(dst netip.Addr, kind byte) bool {
	if dst.Is4() {
		return kind == byte(header.ICMPv4Echo)
	}
	return kind == byte(header.ICMPv6EchoRequest)
}

func (c *ICMP) ping(w *Wire, key pingKey) (*ping, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.pings[key]; p != nil {
		return p, nil
	}
	if key.dst.IsMulticast() {
		return nil, nil
	}
	to, err := c.Net.Allow(netip.AddrPortFrom(key.dst, 0))
	if err != nil {
		return nil, err
	}
	if len(c.pings) >= maxPings {
		return nil, nil
	}
	p := &ping{icmp: c, wire: w, key: key}
	if err := p.open(to.Addr()); err != nil {
		return nil, err
	}
	p.used.Store(now())
	if c.pings == nil {
		c.pings = map[pingKey]*ping{}
	}
	c.pings[key] = p
	go p.receive()
	if !c.sweeping {
		c.sweeping = true
		go c.sweep()
	}
	return p, nil
}

func (p *ping) open(to netip.Addr) error {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	var v4 [4]byte
	if a := to.Unmap(); a.Is4() {
		v4 = a.As4()
	}
	var sa unix.Sockaddr = &unix.SockaddrInet4{Addr: v4}
	if to.Is6() && !to.Is4In6() {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
		sa = &unix.SockaddrInet6{Addr: to.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, sa); err != nil {
		unix.Close(fd)
		return err
	}
	p.file = os.NewFile(uintptr(fd), "ping")
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return err
	}
	tellErrors(p.raw, to)
	return nil
}

// send sends the request; the kernel puts an identifier of its own in, and a
// checksum.
func (p *ping) send(msg []byte) error {
	p.used.Store(now())
	var errno unix.Errno
	if err := p.raw.Write(func(fd uintptr) bool { _, errno = write(int(fd), msg); return true }); err != nil {
		return nil // swept at this moment
	}
	if errno != 0 && errno != unix.EAGAIN {
		return errno
	}
	return nil
}

func (p *ping) receive() {
	p.raw.Read(func(fd uintptr) bool {
		buf := buffers.Get().(*[]byte)
		defer buffers.Put(buf)
		for failures := 0; failures < 64; {
			n, e := read(int(fd), *buf)
			switch {
			case e == unix.EINTR:
			case e == unix.EAGAIN:
				return false
			case e != 0:
				failures++
				forgetErrors(int(fd))
				p.failed(e)
			case n >= header.ICMPv4MinimumSize:
				msg := (*buf)[:n]
				binary.BigEndian.PutUint16(msg[4:], p.key.id)
				p.wire.ICMP(p.key.dst, p.key.src, msg)
			}
		}
		return true
	})
}

func (p *ping) failed(e unix.Errno) {
	if why := reason(e); why == NoHost || why == NoNetwork || why == Prohibited {
		msg := make([]byte, header.ICMPv4MinimumSize)
		msg[0] = byte(header.ICMPv4Echo)
		proto := tcpip.TransportProtocolNumber(header.ICMPv4ProtocolNumber)
		if !p.key.dst.Is4() {
			msg[0], proto = byte(header.ICMPv6EchoRequest), header.ICMPv6ProtocolNumber
		}
		binary.BigEndian.PutUint16(msg[4:], p.key.id)
		p.wire.Unreachable(p.icmp.Net.Gateway(p.key.src), p.key.src, p.key.dst, proto, msg, why)
	}
}

func (c *ICMP) sweep() {
	for {
		time.Sleep(sweepEvery)
		c.mu.Lock()
		for k, p := range c.pings {
			if now()-p.used.Load() > int64(pingAge/time.Second) {
				delete(c.pings, k)
				p.file.Close()
			}
		}
		if len(c.pings) == 0 {
			c.sweeping = false
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
	}
}

// Close ends all.
func (c *ICMP) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, p := range c.pings {
		delete(c.pings, k)
		p.file.Close()
	}
}
