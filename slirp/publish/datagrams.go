package publish

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxDatagram is more than UDP can carry.
const maxDatagram = 64 << 10

// buffers are taken for a datagram that is there, not to wait for one.
var buffers = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// door is a published UDP port: the host's socket that clients send to.
type door struct {
	*net.UDPConn
	port     uint16 // of the container
	wildcard bool   // bound to all addresses
}

func (s *Server) packets(c net.PacketConn, port uint16) error {
	udp, ok := c.(*net.UDPConn)
	if !ok {
		c.Close()
		return fmt.Errorf("not a UDP socket")
	}
	if !s.keep(udp) {
		return net.ErrClosed
	}
	d := &door{UDPConn: udp, port: port, wildcard: addrPort(udp.LocalAddr()).Addr().IsUnspecified()}
	s.wait.Go(func() { s.inbound(d) })
	return nil
}

// inbound takes what clients send to their flows.
func (s *Server) inbound(d *door) {
	defer s.drop(d.UDPConn)
	var oob [128]byte
	take := func(buf []byte) error {
		n, noob, _, from, err := d.ReadMsgUDPAddrPort(buf, oob[:])
		if err != nil {
			return err
		}
		key := clientKey{door: d, client: from}
		if d.wildcard {
			key.local = destination(oob[:noob])
		}
		f := s.flows.find(key)
		if f == nil {
			if f, err = s.begin(key); err != nil {
				return nil // of that client, who will try again: no network is expected to be better
			}
		}
		if _, err := f.inner.Write(buf[:n]); errors.Is(err, unix.ECONNREFUSED) {
			f.inner.Write(buf[:n]) // that was about the one before
		}
		return nil
	}
	for {
		s.receive(d.UDPConn, take)
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(time.Second): // no memory, or the interface is gone: it may come back
		}
	}
}

// begin makes a flow for a client.
func (s *Server) begin(key clientKey) (*udpFlow, error) {
	client := netip.AddrPortFrom(key.client.Addr().Unmap(), key.client.Port())
	inner, err := s.in.DialUDP(s.ctx, client, key.door.port)
	if err != nil {
		return nil, err
	}
	f := &udpFlow{key: key, inner: inner}
	if err := s.flows.add(f); err != nil {
		inner.Close()
		return nil, err
	}
	s.wait.Go(func() { s.outbound(f) })
	return f, nil
}

// outbound takes what the container answers to the client, from the address that the
// client knows.
func (s *Server) outbound(f *udpFlow) {
	defer s.flows.remove(f)
	source := packetInfo(f.key.local)
	s.receive(f.inner, func(buf []byte) error {
		n, err := f.inner.Read(buf)
		if err != nil {
			return err
		}
		s.flows.answer(f)
		f.key.door.WriteMsgUDPAddrPort(buf[:n], source, f.key.client)
		return nil
	})
}

// receive calls take for each datagram, with a buffer that fits any. It ends when
// the connection is closed, and when it does nothing but fail.
func (s *Server) receive(c net.Conn, take func(buf []byte) error) {
	const patience = 64 // errors in a row: each ICMP error inside is one
	for failures := 0; failures < patience; failures++ {
		if await(c) != nil {
			return
		}
		buf := buffers.Get().(*[maxDatagram]byte)
		err := take(buf[:])
		buffers.Put(buf)
		if err == nil {
			failures = -1
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, errMoved) {
			return
		}
	}
}

// await waits until there is something to read. What is no kernel socket has to
// wait with a buffer in its hand.
func await(c net.Conn) error {
	s, ok := c.(socket)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool { return polled(int(fd), unix.POLLIN) })
}
