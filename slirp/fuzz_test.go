package slirp

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"rl/slirp/link"
)

// frameStart is what stands before an IP packet on a tap device.
const frameStart = link.HeaderSize + header.EthernetMinimumSize

// mended makes lengths and checksums of a frame right, so that it gets past the
// first gate.
func mended(b []byte) []byte {
	if len(b) < frameStart+header.IPv4MinimumSize {
		return b
	}
	copy(b[link.HeaderSize:], GatewayMAC[:])
	b[0] = 1 // the transport's checksum is left undone
	ip := b[frameStart:]
	switch {
	case ip[0]>>4 == 4:
		binary.BigEndian.PutUint16(b[frameStart-2:], uint16(header.IPv4ProtocolNumber))
		n := max(int(ip[0]&0xf)*4, header.IPv4MinimumSize)
		if n > len(ip) {
			return b
		}
		ip[0] = 0x40 | byte(n/4)
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		ip[10], ip[11] = 0, 0
		binary.BigEndian.PutUint16(ip[10:], ^checksum.Checksum(ip[:n], 0))
	case ip[0]>>4 == 6 && len(ip) >= header.IPv6MinimumSize:
		binary.BigEndian.PutUint16(b[frameStart-2:], uint16(header.IPv6ProtocolNumber))
		binary.BigEndian.PutUint16(ip[4:], uint16(len(ip)-header.IPv6MinimumSize))
	default:
		binary.BigEndian.PutUint16(b[frameStart-2:], uint16(header.ARPProtocolNumber))
	}
	return b
}

// seed is a frame with a payload.
func seed(v6 bool, proto byte, src, dst string, payload ...byte) []byte {
	b := make([]byte, frameStart)
	s, d := netip.MustParseAddr(src).AsSlice(), netip.MustParseAddr(dst).AsSlice()
	if v6 {
		b = append(b, 0x60, 0, 0, 0, 0, 0, proto, 64)
	} else {
		b = append(b, 0x45, 0, 0, 0, 0, 1, 0, 0, 64, proto, 0, 0)
	}
	return mended(append(append(append(b, s...), d...), payload...))
}

// asking is where packets would have gone.
type asking struct {
	mu    sync.Mutex
	addrs []netip.Addr
}

func (a *asking) note(to netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addrs = append(a.addrs, to)
}

// forbidden are those of them that are the host's own, or a cloud's.
func (a *asking) forbidden() (bad []netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, to := range a.addrs {
		last := to.AsSlice()[len(to.AsSlice())-4:]
		switch {
		case !to.IsGlobalUnicast(), to.Is4In6(), to.String() == "fd00:ec2::254",
			to.Is6() && to.AsSlice()[0] == 0 && (last[0] == 127 || last[0] == 169 && last[1] == 254),
			to.Is4() && netip.MustParsePrefix("10.0.2.0/24").Contains(to), netip.MustParsePrefix("fd00::/64").Contains(to):
			bad = append(bad, to)
		}
	}
	return bad
}

// FuzzFrames gives a whole network frames of a hostile container: malformed, in
// fragments, too large, with addresses of others. Whatever they are, it does not crash or
// hang, and lets nothing go to an address that only the host may reach.
func FuzzFrames(f *testing.F) {
	syn := []byte{3, 232, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0}
	udp := []byte{3, 232, 0, 53, 0, 12, 0, 0, 'd', 'a', 't', 'a'}
	ping := []byte{8, 0, 0, 0, 0, 1, 0, 1}
	for _, to := range []string{"127.0.0.1", "169.254.169.254", "10.0.2.2", "10.0.2.3", "0.0.0.0", "255.255.255.255", "224.0.0.1", "10.0.2.77"} {
		f.Add(seed(false, 6, "10.0.2.100", to, syn...), true)
		f.Add(seed(false, 17, "10.0.2.100", to, udp...), true)
		f.Add(seed(false, 1, "10.0.2.100", to, ping...), true)
		f.Add(seed(false, 17, to, "10.0.2.2", udp...), true)
	}
	for _, to := range []string{"::1", "fe80::1", "fd00:ec2::254", "fd00::2", "fd00::3", "64:ff9b::a9fe:a9fe", "ff02::1", "::ffff:127.0.0.1"} {
		f.Add(seed(true, 6, "fd00::100", to, syn...), true)
		f.Add(seed(true, 17, "fd00::100", to, udp...), true)
		f.Add(seed(true, 58, "fd00::100", to, 128, 0, 0, 0, 0, 1, 0, 1), true)
		f.Add(seed(true, 58, to, "ff02::1:ff00:2", append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 24)...)...), true)
		f.Add(seed(true, 44, "fd00::100", to, append([]byte{17, 0, 0, 1, 0, 0, 0, 7}, udp...)...), true) // a fragment
		f.Add(seed(true, 0, "fd00::100", to, append([]byte{17, 0, 0, 0, 0, 0, 0, 0}, udp...)...), true)  // options
	}
	fragment := seed(false, 17, "10.0.2.100", "127.0.0.1", udp...)
	fragment[frameStart+6] = 0x20
	f.Add(mended(fragment), true)
	arp := append(make([]byte, frameStart), 0, 1, 8, 0, 6, 4, 0, 2)
	f.Add(mended(append(arp, make([]byte, 20)...)), true)
	f.Add(make([]byte, 70000), false)
	f.Add(append(seed(false, 6, "10.0.2.100", "127.0.0.1", syn...), make([]byte, 66000)...), true)
	f.Fuzz(func(t *testing.T, data []byte, mend bool) {
		if len(data) > 200_000 {
			t.Skip("a socket does not take that much")
		}
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fds[1])
		c := testConfig()
		c.Resolv = "/nonexistent/resolv.conf"
		n, err := Start(c, []Tap{{File: os.NewFile(uintptr(fds[0]), "tap"), Offload: true}})
		if err != nil {
			t.Fatal(err)
		}
		// Nobody goes anywhere; where the guard would have let somebody go is looked at.
		var asked asking
		allow := n.tcp.Net.Allow
		n.tcp.Net.Allow = func(to netip.AddrPort) (netip.AddrPort, error) {
			got, err := allow(to)
			if err != nil {
				return got, err
			}
			asked.note(got.Addr())
			return got, unix.EHOSTUNREACH
		}
		if mend {
			data = mended(append([]byte(nil), data...))
		}
		for _, b := range [][]byte{data, data[:len(data)/2], data} {
			unix.Sendto(fds[1], b, 0, nil)
		}
		last := seed(false, 6, "10.0.2.100", "10.0.2.2", syn...) // is refused, so all before it was read
		sent := unix.Sendto(fds[1], last, 0, nil) == nil
		buf := make([]byte, 70000)
		for sent {
			fd := []unix.PollFd{{Fd: int32(fds[1]), Events: unix.POLLIN}}
			if ready, err := unix.Poll(fd, 10_000); err == nil && ready == 0 {
				t.Fatal("a connection is not refused any more")
			}
			m, _, err := unix.Recvfrom(fds[1], buf, 0)
			if err != nil {
				continue
			}
			if p := buf[:m]; m >= frameStart+header.IPv4MinimumSize+header.TCPMinimumSize && p[frameStart]>>4 == 4 && p[frameStart+9] == 6 {
				break
			}
		}
		if bad := asked.forbidden(); len(bad) > 0 {
			t.Errorf("allowed to go to %v", bad)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		n.stack.Destroy()
	})
}
