package lan

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// desk is a membership without devices: what is written to one comes out of a socket.
type desk struct {
	*LAN
	own, peer int // where frames come out
}

func newDesk(t testing.TB) *desk {
	pair := func() (in *device, out int) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
		return &device{fd: fds[0], close: func(int) error { return nil }}, fds[1]
	}
	d := &desk{LAN: &LAN{self: who(2, "self")}}
	var tap *device
	d.tap, d.own = pair()
	tap, d.peer = pair()
	d.peers = []*peer{{Member: who(3, "peer"), conns: 1, tap: tap}}
	d.rebuild()
	return d
}

// came is the frame that was written to a device, nil for none.
func came(fd int) []byte {
	buf := make([]byte, 70000)
	n, err := unix.Read(fd, buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

func frame(dst, src [6]byte, typ uint16, body ...byte) []byte {
	f := append(make([]byte, vnetSize), dst[:]...)
	f = append(f, src[:]...)
	return append(binary.BigEndian.AppendUint16(f, typ), body...)
}

func ipv4(src, dst Member, rest ...byte) []byte {
	b := make([]byte, 20)
	b[0] = 0x45
	s, d := src.IP4.As4(), dst.IP4.As4()
	copy(b[12:], s[:])
	copy(b[16:], d[:])
	return append(b, rest...)
}

func ipv6(src, dst [16]byte, next byte, rest ...byte) []byte {
	b := make([]byte, 40)
	b[0], b[6], b[7] = 0x60, next, 255
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	return append(b, rest...)
}

func arpFrame(op byte, src Member, target Member) []byte {
	b := append([]byte{0, 1, 8, 0, 6, 4, 0, op}, src.MAC[:]...)
	b = append(b, src.IP4.AsSlice()...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, target.IP4.AsSlice()...)
}

func solicit(src [16]byte, target Member) []byte {
	t := target.IP6.As16()
	return ipv6(src, [16]byte{0: 0xff, 1: 2, 15: 1}, protoICMPv6, append([]byte{neighborSolicitation, 0, 0, 0, 0, 0, 0, 0}, t[:]...)...)
}

var broadcast = [6]byte{255, 255, 255, 255, 255, 255}

// The decision table of Forward.
func TestForward(t *testing.T) {
	self, peer, third := who(2), who(3), who(9)
	gateway := [6]byte{0x5a, 0x94, 0xef, 0xe4, 0x0c, 0xee}
	linkLocal := [16]byte{0: 0xfe, 1: 0x80, 15: 1}
	for name, c := range map[string]struct {
		frame []byte
		taken bool
		to    string // "", own, peer
	}{
		"ipv4 to a member":             {frame(peer.MAC, self.MAC, typeIPv4, ipv4(self, peer, 1, 2, 3)...), true, "peer"},
		"ipv6 to a member":             {frame(peer.MAC, self.MAC, typeIPv6, ipv6(self.IP6.As16(), peer.IP6.As16(), 17)...), true, "peer"},
		"ipv4 to the gateway":          {frame(gateway, self.MAC, typeIPv4, ipv4(self, third)...), false, ""},
		"ipv4 to nobody":               {frame(third.MAC, self.MAC, typeIPv4, ipv4(self, third)...), false, ""},
		"broadcast":                    {frame(broadcast, self.MAC, typeIPv4, ipv4(self, third)...), false, ""},
		"as another to a member":       {frame(peer.MAC, self.MAC, typeIPv4, ipv4(third, peer)...), true, ""},
		"as another to the gateway":    {frame(gateway, self.MAC, typeIPv4, ipv4(third, peer)...), true, ""},
		"as another's MAC":             {frame(peer.MAC, third.MAC, typeIPv4, ipv4(self, peer)...), true, ""},
		"ipv6 as another":              {frame(peer.MAC, self.MAC, typeIPv6, ipv6(third.IP6.As16(), peer.IP6.As16(), 17)...), true, ""},
		"link-local to a member":       {frame(peer.MAC, self.MAC, typeIPv6, ipv6(linkLocal, peer.IP6.As16(), 17)...), true, ""},
		"link-local to the stack":      {frame(gateway, self.MAC, typeIPv6, ipv6(linkLocal, peer.IP6.As16(), 17)...), false, ""},
		"ipv4 that says ipv6":          {frame(peer.MAC, self.MAC, typeIPv6, ipv4(self, peer, make([]byte, 60)...)...), true, ""},
		"ipv6 that says ipv4":          {frame(peer.MAC, self.MAC, typeIPv4, ipv6(self.IP6.As16(), peer.IP6.As16(), 17)...), true, ""},
		"cut short":                    {frame(peer.MAC, self.MAC, typeIPv4, 0x45, 0, 0), true, ""},
		"a VLAN to a member":           {frame(peer.MAC, self.MAC, 0x8100, ipv4(self, peer)...), true, ""},
		"a VLAN to the stack":          {frame(gateway, self.MAC, 0x8100, ipv4(self, peer)...), false, ""},
		"arp for a member":             {frame(broadcast, self.MAC, typeARP, arpFrame(1, self, peer)...), true, "own"},
		"arp for a member, unicast":    {frame(peer.MAC, self.MAC, typeARP, arpFrame(1, self, peer)...), true, "own"},
		"arp for another":              {frame(broadcast, self.MAC, typeARP, arpFrame(1, self, third)...), false, ""},
		"arp as another":               {frame(broadcast, self.MAC, typeARP, arpFrame(1, third, peer)...), true, ""},
		"arp reply to a member":        {frame(peer.MAC, self.MAC, typeARP, arpFrame(2, self, peer)...), true, ""},
		"arp cut short":                {frame(broadcast, self.MAC, typeARP, arpFrame(1, self, peer)[:27]...), true, ""},
		"solicitation of a member":     {frame(broadcast, self.MAC, typeIPv6, solicit(self.IP6.As16(), peer)...), true, "own"},
		"solicitation from link-local": {frame(broadcast, self.MAC, typeIPv6, solicit(linkLocal, peer)...), true, "own"},
		"solicitation of another":      {frame(broadcast, self.MAC, typeIPv6, solicit(self.IP6.As16(), third)...), false, ""},
		"solicitation as another":      {frame(broadcast, self.MAC, typeIPv6, solicit(third.IP6.As16(), peer)...), true, ""},
		"detection of a duplicate":     {frame(broadcast, self.MAC, typeIPv6, solicit([16]byte{}, peer)...), true, "own"},
	} {
		d := newDesk(t)
		before := bytes.Clone(c.frame)
		if got := d.Forward(c.frame[:headSize], c.frame[headSize:]); got != c.taken {
			t.Errorf("%s: taken %v, want %v", name, got, c.taken)
		}
		if !bytes.Equal(before, c.frame) {
			t.Errorf("%s: the frame was changed", name)
		}
		own, to := came(d.own), came(d.peer)
		if (own != nil) != (c.to == "own") || (to != nil) != (c.to == "peer") {
			t.Errorf("%s: %d bytes to the container, %d to the member, want it to go to %q", name, len(own), len(to), c.to)
		}
		if to != nil && !bytes.Equal(to, c.frame) {
			t.Errorf("%s: arrived as %x", name, to)
		}
	}
	if newDesk(t).Forward(nil, nil) || newDesk(t).Forward(make([]byte, 23), nil) {
		t.Error("a cut header was taken")
	}
}

// Each frame of every kind costs no allocation.
func TestForwardDoesNotAllocate(t *testing.T) {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	d := newDesk(t)
	d.tap.fd, d.peers[0].tap.fd = int(null.Fd()), int(null.Fd())
	self, peer := who(2), who(3)
	for name, f := range map[string][]byte{
		"ipv4":    frame(peer.MAC, self.MAC, typeIPv4, ipv4(self, peer, make([]byte, 1400)...)...),
		"ipv6":    frame(peer.MAC, self.MAC, typeIPv6, ipv6(self.IP6.As16(), peer.IP6.As16(), 17)...),
		"stack":   frame([6]byte{0x5a}, self.MAC, typeIPv4, ipv4(self, peer)...),
		"arp":     frame(broadcast, self.MAC, typeARP, arpFrame(1, self, peer)...),
		"nd":      frame(broadcast, self.MAC, typeIPv6, solicit(self.IP6.As16(), peer)...),
		"spoofed": frame(peer.MAC, peer.MAC, typeIPv4, ipv4(self, peer)...),
	} {
		if n := testing.AllocsPerRun(100, func() { d.Forward(f[:headSize], f[headSize:]) }); n != 0 {
			t.Errorf("%s: %v allocations a frame", name, n)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	d := newDesk(b)
	d.peers[0].tap.fd = int(null.Fd())
	f := frame(who(3).MAC, who(2).MAC, typeIPv4, ipv4(who(2), who(3), make([]byte, 1400)...)...)
	b.ReportAllocs()
	for b.Loop() {
		d.Forward(f[:headSize], f[headSize:])
	}
}

// Whatever the container sends, what reaches a member says who sent it.
func FuzzForward(f *testing.F) {
	self, peer := who(2), who(3)
	for _, seed := range [][]byte{
		frame(peer.MAC, self.MAC, typeIPv4, ipv4(self, peer)...), frame(broadcast, self.MAC, typeARP, arpFrame(1, self, peer)...),
		frame(broadcast, self.MAC, typeIPv6, solicit(self.IP6.As16(), peer)...), frame(peer.MAC, self.MAC, typeIPv6, ipv6(self.IP6.As16(), peer.IP6.As16(), 6)...),
	} {
		f.Add(seed)
	}
	d := newDesk(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < headSize {
			d.Forward(data, nil)
			return
		}
		d.Forward(data[:headSize], data[headSize:])
		came(d.own)
		got := came(d.peer)
		if got == nil {
			return
		}
		from4, from6 := self.IP4.As4(), self.IP6.As16()
		if !bytes.Equal(got, data) || !bytes.Equal(got[16:22], self.MAC[:]) || !bytes.Equal(got[10:16], peer.MAC[:]) ||
			!bytes.Equal(got[36:40], from4[:]) && !bytes.Equal(got[32:48], from6[:]) {
			t.Errorf("%x was sent to a member as %x", data, got)
		}
	})
}

// A descriptor is closed once, when the last user is done with it.
func TestDeviceIsClosedOnce(t *testing.T) {
	for range 200 {
		closed, users := make(chan bool, 10), make(chan bool)
		inUse := make(chan bool, 1)
		d := &device{close: func(int) error {
			select {
			case inUse <- true:
			default:
				t.Error("closed while it is in use")
			}
			closed <- true
			return nil
		}}
		go func() {
			for d.use() {
				inUse <- true
				<-inUse
				d.done()
			}
			close(users)
		}()
		d.shut()
		<-users
		<-closed
		if d.use() || len(closed) != 0 {
			t.Fatal("closed twice, or used after")
		}
	}
}

func TestJoinRefuses(t *testing.T) {
	tap, err := os.OpenFile("/dev/net/tun", os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no tap devices: %v", err)
	}
	defer tap.Close()
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	open := meeting(t)
	if err := os.Chmod(open, 0o755); err != nil {
		t.Fatal(err)
	}
	good := meeting(t)
	if err := os.Symlink(good, open+"/link"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir  string
		self Member
		tap  *os.File
		want string
	}{
		"a directory open to others": {open, who(2), tap, "only its owner"},
		"a link":                     {open + "/link", who(2), tap, "not a directory"},
		"no directory":               {good + "/none", who(2), tap, "no such file"},
		"no tap device":              {good, who(2), null, "not a tap device"},
		"no address":                 {good, Member{MAC: [6]byte{2}}, tap, "without an address"},
		"no link address":            {good, Member{IP4: who(2).IP4}, tap, "link address"},
	} {
		l, err := Join(c.dir, c.self, c.tap)
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	l, err := Join(good, who(2), tap)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if names := list(t, good); names != "" {
		t.Errorf("left in the directory: %s", names)
	}
	if flags, err := unix.FcntlInt(tap.Fd(), unix.F_GETFD, 0); err != nil || flags < 0 {
		t.Errorf("the caller's device was closed: %v", err)
	}
}
