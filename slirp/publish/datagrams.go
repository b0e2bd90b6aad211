package publish

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// door is a published UDP port: the host's socket that clients send to.
type door struct {
	*net.UDPConn
	raw      syscall.RawConn
	port     uint16 // of the container
	wildcard bool   // bound to all addresses
}

func (s *Server) packets(c net.PacketConn, port uint16) error {
	udp, ok := c.(*net.UDPConn)
	if !ok {
		c.Close()
		return fmt.Errorf("not a UDP socket")
	}
	raw, err := udp.SyscallConn()
	if err != nil {
		udp.Close()
		return err
	}
	if !s.keep(udp) {
		return net.ErrClosed
	}
	d := &door{UDPConn: udp, raw: raw, port: port, wildcard: addrPort(udp.LocalAddr()).Addr().IsUnspecified()}
	s.wait.Go(func() { s.inbound(d) })
	return nil
}

// inbound takes what clients send to their flows.
func (s *Server) inbound(d *door) {
	defer s.drop(d.UDPConn)
	for {
		err := d.take(func(b *batch, n int) { s.deliver(d, b, n) })
		if err == nil {
			continue
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(time.Second): // no memory, or the interface is gone: it may come back
		}
	}
}

// deliver sends a batch on, one client's datagrams at a time.
func (s *Server) deliver(d *door, b *batch, n int) {
	for first, last := 0, 0; first < n; first = last {
		key := d.key(b, first)
		for last = first + 1; last < n && d.key(b, last) == key; last++ {
		}
		f := s.flows.find(key)
		if f == nil {
			to := b.sender(first)
			to.control = packetInfo(key.local)
			var err error
			if f, err = s.begin(key, to); err != nil {
				continue // the client will try again: no network is expected to be better
			}
		}
		f.send(b, first, last)
	}
}

// key says whose flow a datagram belongs to.
func (d *door) key(b *batch, i int) clientKey {
	key := clientKey{door: d, client: b.from(i)}
	if d.wildcard {
		key.local = destination(b.control(i))
	}
	return key
}

// begin makes a flow for a client.
func (s *Server) begin(key clientKey, to *address) (*udpFlow, error) {
	inner, err := s.in.DialUDP(s.ctx, netip.AddrPortFrom(key.client.Addr().Unmap(), key.client.Port()), key.door.port)
	if err != nil {
		return nil, err
	}
	f := &udpFlow{key: key, to: to, inner: inner}
	if c, ok := inner.(socket); ok {
		f.raw, _ = c.SyscallConn()
	}
	if err := s.flows.add(f); err != nil {
		inner.Close()
		return nil, err
	}
	s.wait.Go(func() { s.outbound(f) })
	return f, nil
}

// send sends to the container.
func (f *udpFlow) send(b *batch, first, last int) {
	if f.raw != nil {
		f.raw.Control(func(fd uintptr) { b.send(int(fd), first, last, nil) })
		return
	}
	for i := first; i < last; i++ {
		f.inner.Write(b.payload(i))
	}
}

// outbound takes what the container answers to the client, from the address that the
// client knows. It ends when the flow is closed, and when its socket does nothing but
// fail; each refused datagram is one failure.
func (s *Server) outbound(f *udpFlow) {
	defer s.flows.remove(f)
	const patience = 64
	for failures := 0; failures < patience; failures++ {
		err := f.take(func(b *batch, n int) {
			s.flows.answer(f)
			f.key.door.raw.Control(func(fd uintptr) { b.send(int(fd), 0, n, f.to) })
		})
		if m, ok := f.inner.(mover); ok && errors.Is(err, unix.ECONNREFUSED) && m.refused() {
			return // what the client sends next shall go elsewhere
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			failures = -1
		}
	}
}

// mover is an inner connection that knows another way to the container. Refused is
// told that there was nobody, and says whether a new connection might do better.
type mover interface{ refused() bool }

// take waits for datagrams, and hands them over. What is no kernel socket has to
// wait with its hands full.
func (f *udpFlow) take(use func(b *batch, n int)) error {
	if f.raw != nil {
		return take(f.raw, use)
	}
	b := batches.Get().(*batch)
	defer batches.Put(b)
	n, err := f.inner.Read(b.data[:maxDatagram])
	if err == nil {
		b.in[0].len = uint32(n)
		use(b, 1)
	}
	return err
}

func (d *door) take(use func(b *batch, n int)) error { return take(d.raw, use) }

func take(raw syscall.RawConn, use func(b *batch, n int)) error {
	var failed error
	err := raw.Read(func(fd uintptr) bool {
		b := batches.Get().(*batch)
		defer batches.Put(b)
		n, err := b.receive(int(fd))
		if err == nil {
			use(b, n)
		}
		failed = err
		return err != unix.EAGAIN
	})
	if err != nil {
		return err
	}
	return failed
}
