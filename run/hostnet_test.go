package run

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// What the host sends from is an address of one of its interfaces.
func TestSourceFor(t *testing.T) {
	if a := sourceFor(&unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 1, 2, 3}}); a.String() != "127.0.0.1" {
		t.Errorf("to the loopback from %v", a)
	}
	if a := sourceFor(&unix.SockaddrInet6{Port: 9, Addr: [16]byte{0xff, 0x0f}}); a.IsValid() && a.IsMulticast() {
		t.Errorf("from the multicast address %v", a)
	}
	out := sourceFor(&unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 1}})
	if !out.IsValid() {
		t.Skip("this host has no route to the world")
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.String() == out.String() {
			return
		}
	}
	t.Errorf("%v is no address of this host: %v", out, addrs)
}
