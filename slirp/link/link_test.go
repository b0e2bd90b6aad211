package link

import (
	"encoding/binary"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

var mac = [6]byte{0x5a, 1, 2, 3, 4, 5}

// pair gives an endpoint and the other end of its device, for which a socket of
// whole messages stands in.
func pair(t testing.TB) (*Endpoint, int) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[0]), "tap")
	t.Cleanup(func() { f.Close(); unix.Close(fds[1]) })
	e, err := New(f, true, 65520, mac)
	if err != nil {
		t.Fatal(err)
	}
	return e, fds[1]
}

// udp4 makes a frame with a datagram from 10.0.2.100:1000 to 192.0.2.1:2000.
func udp4(data string) []byte {
	b := make([]byte, front+28+len(data))
	copy(b[HeaderSize:], mac[:])
	b[HeaderSize+12] = 8
	ip := b[front:]
	copy(ip, []byte{0x45, 0, 0, byte(28 + len(data)), 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 2, 100, 192, 0, 2, 1})
	binary.BigEndian.PutUint16(ip[10:], ^checksum.Checksum(ip[:20], 0))
	copy(ip[20:], []byte{0x03, 0xe8, 0x07, 0xd0, 0, byte(8 + len(data))})
	copy(ip[28:], data)
	sum := checksum.Checksum(ip[20:], checksum.Checksum([]byte{0, 17, 0, byte(8 + len(data))}, checksum.Checksum(ip[12:20], 0)))
	binary.BigEndian.PutUint16(ip[26:], ^sum)
	return b
}

// take has the endpoint read a frame and gives what came of it.
func take(t testing.TB, e *Endpoint, peer int, frame []byte) *Packet {
	var got *Packet
	e.Early = func(p *Packet) bool {
		q := *p
		q.Payload = append([]byte(nil), p.Payload...)
		got = &q
		return true
	}
	if err := unix.Sendto(peer, frame, 0, nil); err != nil {
		t.Fatal(err)
	}
	r := reader{e: e}
	r.drain(e.fd)
	return got
}

func TestDatagram(t *testing.T) {
	e, peer := pair(t)
	p := take(t, e, peer, udp4("hello"))
	if p == nil || string(p.Payload[8:]) != "hello" || p.Src != netip.MustParseAddr("10.0.2.100") || p.Dst != netip.MustParseAddr("192.0.2.1") || p.Transport != header.UDPProtocolNumber {
		t.Fatalf("got %+v", p)
	}
}

// What a kernel would have dropped is dropped.
func TestMalformed(t *testing.T) {
	for name, change := range map[string]func(b []byte) []byte{
		"empty":                    func(b []byte) []byte { return b[:1] },
		"header only":              func(b []byte) []byte { return b[:front] },
		"half an IP header":        func(b []byte) []byte { return b[:front+10] },
		"cut":                      func(b []byte) []byte { return b[:len(b)-1] },
		"to somebody else":         func(b []byte) []byte { b[HeaderSize+5]++; return b },
		"not IP":                   func(b []byte) []byte { b[HeaderSize+12] = 0x88; return b },
		"IP version":               func(b []byte) []byte { b[front] = 0x65; return b },
		"IP header length":         func(b []byte) []byte { b[front] = 0x4f; return b },
		"IP header length too low": func(b []byte) []byte { b[front] = 0x44; return b },
		"IP checksum":              func(b []byte) []byte { b[front+10]++; return b },
		"UDP checksum":             func(b []byte) []byte { b[front+26]++; return b },
		"data":                     func(b []byte) []byte { b[front+28]++; return b },
		"UDP length":               func(b []byte) []byte { b[front+25]++; return b },
		"UDP length too low":       func(b []byte) []byte { b[front+25] = 7; return b },
	} {
		e, peer := pair(t)
		if p := take(t, e, peer, change(udp4("hello"))); p != nil {
			t.Errorf("%s: taken as %+v", name, p)
		}
	}
}

// A checksum that the container's kernel left to us is not looked at.
func TestPartialChecksum(t *testing.T) {
	e, peer := pair(t)
	b := udp4("hello")
	b[front+26]++
	b[0] = flagNeedsCsum
	if take(t, e, peer, b) == nil {
		t.Error("a frame with a partial checksum is dropped")
	}
}

// Whatever comes in: no crash, and what is handed on is consistent.
func FuzzFrame(f *testing.F) {
	f.Add(udp4("hello"))
	f.Add(udp4(""))
	six := make([]byte, front+48)
	copy(six[HeaderSize:], mac[:])
	copy(six[HeaderSize+12:], []byte{0x86, 0xdd})
	copy(six[front:], []byte{0x60, 0, 0, 0, 0, 8, 44, 64})
	f.Add(six)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) == 0 || len(frame) > 65000 {
			return
		}
		e, peer := pair(t)
		p := take(t, e, peer, frame)
		if p == nil {
			return
		}
		if p.Src.Is4() != (p.Protocol == header.IPv4ProtocolNumber) || len(p.Payload) > len(frame) {
			t.Errorf("%+v", p)
		}
		if p.Transport == header.UDPProtocolNumber && !p.Fragment && len(p.Payload) < 8 {
			t.Errorf("half a UDP header is handed on: %+v", p)
		}
	})
}
