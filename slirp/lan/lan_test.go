package lan

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Two, then three, reach each other by address and name, over both families, with
// segments of 64 KB.
func TestMembersReachEachOther(t *testing.T) {
	r := newRig(t)
	a := r.start(who(2, "Alice", "alice", "a.net."))
	b := r.start(who(3, "bob"))
	for range 2 { // from both sides
		if got := a.ask("ping %s", b.IP4); got != "pong" {
			t.Errorf("ping %s: %s", b.IP4, got)
		}
		if got := a.ask("ping %s", b.IP6); got != "pong" {
			t.Errorf("ping %s: %s", b.IP6, got)
		}
		a, b = b, a
	}
	c := r.start(who(4, "carol", "bob")) // an alias that another has, too
	for _, pair := range [][2]*fellow{{a, b}, {b, c}, {c, a}} {
		from, to := pair[0], pair[1]
		for _, host := range []string{to.IP4.String(), "[" + to.IP6.String() + "]"} {
			if got := to.ask("serve %s:80", host); got != "ok" {
				t.Fatal(got)
			}
			sent := from.ask("send %s:80 %d", host, 20_000_001)
			if len(sent) != 64 {
				t.Fatalf("%s to %s: %s", from.IP4, host, sent)
			}
			to.says(sent, "received")
		}
		if got := from.ask("segments"); got != "true" {
			t.Errorf("%s sent no segment that was left to the device to cut", from.IP4)
		}
	}
	a.says("10.89.0.3 10.89.0.4", "members")
	for ask, want := range map[string]string{
		"lookup alice": "[10.89.0.2 fd89::2] true", "lookup a.net": "[10.89.0.2 fd89::2] true", "lookup bob": "[10.89.0.3 fd89::3 10.89.0.4 fd89::4] true", "lookup dave": "[] false",
		"reverse 10.89.0.4": "carol true", "reverse fd89::2": "alice true", "reverse 10.89.0.9": "false",
	} {
		if got := a.ask("%s", ask); got != want {
			t.Errorf("%s: %q, want %q", ask, got, want)
		}
	}
	if got := a.ask("send %s:81 1", b.IP4); got != "ECONNREFUSED" {
		t.Errorf("a port that nobody listens on: %s", got)
	}
}

// A member that is killed is forgotten, with its descriptors; what it left is no
// hindrance for its successor, nor does a third lose a connection by it.
func TestKilledMemberIsForgotten(t *testing.T) {
	r := newRig(t)
	a, b := r.start(who(2, "alice")), r.start(who(3, "bob"))
	a.says("10.89.0.3", "members")
	before := a.ask("descriptors")
	c := r.start(who(4, "carol"))
	a.says("10.89.0.3 10.89.0.4", "members")
	c.kill()
	a.says("10.89.0.3", "members")
	a.says(before, "descriptors")
	a.says("[] false", "lookup carol")
	if got := a.ask("send 10.89.0.4:80 1"); got != "EHOSTUNREACH" {
		t.Errorf("a connection to the dead: %s", got)
	}
	if _, err := os.Lstat(filepath.Join(r.dir, "10.89.0.4")); err != nil {
		t.Errorf("a killed member's socket is gone: the next check tests nothing: %v", err)
	}
	d := r.start(who(5, "dave"))
	if _, err := os.Lstat(filepath.Join(r.dir, "10.89.0.4")); err == nil {
		t.Error("the stale socket of a killed member is still there")
	}
	d.kill()
	d = r.start(who(5, "dora")) // the same address, at once
	a.says("dora true", "reverse 10.89.0.5")
	if got := d.ask("ping 10.89.0.3"); got != "pong" {
		t.Errorf("ping: %s", got)
	}
	if got := b.ask("leave"); got != "ok" {
		t.Errorf("leave: %s", got)
	}
	a.says("10.89.0.5", "members")
	if names := list(t, r.dir); names != "10.89.0.2 10.89.0.5" {
		t.Errorf("the directory has %s", names)
	}
}

func list(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// Many that come at the same moment connect both ways, and each is known once.
func TestSimultaneousJoin(t *testing.T) {
	r := newRig(t)
	var all []*fellow
	for n := byte(2); n < 10; n++ {
		all = append(all, r.begin(who(n)))
	}
	for _, f := range all {
		f.hear("ok")
	}
	check := func() {
		t.Helper()
		for i, f := range all {
			var others []string
			for j, o := range all {
				if i != j {
					others = append(others, o.IP4.String())
				}
			}
			f.says(strings.Join(others, " "), "members")
		}
	}
	check()
	all[0].kill()
	all = all[1:]
	check()
	if got := all[0].ask("ping %s", all[6].IP4); got != "pong" {
		t.Errorf("ping: %s", got)
	}
}

// A member that is stopped does not keep others from joining, and is a peer when
// it goes on.
func TestStoppedMember(t *testing.T) {
	r := newRig(t)
	a := r.start(who(2))
	if err := a.cmd.Process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b := r.start(who(3))
	if got := b.ask("members"); got != "" {
		t.Errorf("a stopped member is one: %s", got)
	}
	if err := a.cmd.Process.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	b.says("10.89.0.2", "members")
	if got := b.ask("ping 10.89.0.2"); got != "pong" {
		t.Errorf("ping: %s", got)
	}
}

// Nobody can send as another: not as another member, nor as a stranger.
func TestForgedFramesAreDropped(t *testing.T) {
	r := newRig(t)
	a, b := r.start(who(2)), r.start(who(3))
	r.start(who(4))
	a.says("10.89.0.3 10.89.0.4", "members")
	if got := b.ask("datagrams 10.89.0.3:5000"); got != "listening" {
		t.Fatal(got)
	}
	for _, forged := range []struct{ mac, ip, text string }{
		{"02:42:0a:59:00:02", "10.89.0.4", "ip"}, {"02:42:0a:59:00:04", "10.89.0.2", "mac"}, {"02:42:0a:59:00:04", "10.89.0.4", "both"},
		{"02:42:0a:59:00:02", "0.0.0.0", "none"}, {"02:42:0a:59:00:02", "192.0.2.1", "stranger"},
		{"02:42:0a:59:00:02", "10.89.0.2", "true"}, // the rig's own proof
	} {
		if got := a.ask("forge %s %s 10.89.0.3 %s", forged.mac, forged.ip, forged.text); got != "ok" {
			t.Fatal(got)
		}
	}
	if got := a.ask("datagram 10.89.0.3:5000 end"); got != "ok" {
		t.Fatal(got)
	}
	if got := b.line(); got != "true" {
		t.Errorf("arrived: %q, want only what has its true source", got)
	}
}

// Two networks in two directories do not see each other, whatever their addresses.
func TestNetworksAreApart(t *testing.T) {
	r, s := newRig(t), newRig(t)
	a, b, c := r.start(who(2, "a")), s.start(who(3, "b")), s.start(who(4, "c"))
	b.says("10.89.0.4", "members")
	if got := a.ask("members"); got != "" {
		t.Errorf("members of another network: %s", got)
	}
	if got := a.ask("send 10.89.0.3:80 1"); got != "EHOSTUNREACH" {
		t.Errorf("a connection into another network: %s", got)
	}
	if got := c.ask("ping 10.89.0.3"); got != "pong" {
		t.Errorf("ping: %s", got)
	}
}

// What connects and says something else than hello is sent away, and nothing of it stays.
func TestBadHellos(t *testing.T) {
	r := newRig(t)
	a := r.start(who(2))
	before := a.ask("descriptors")
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	tap, err := os.OpenFile("/dev/net/tun", os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	good := func(change func(*hello)) []byte {
		h := hello{Version: version, Session: newSession(), Member: who(7)}
		change(&h)
		b, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	fine := good(func(*hello) {})
	for name, bad := range map[string]struct {
		data  []byte
		files []*os.File
	}{
		"no descriptor":     {fine, nil},
		"another device":    {fine, []*os.File{null}},
		"two descriptors":   {fine, []*os.File{tap, tap}},
		"five descriptors":  {fine, []*os.File{tap, tap, tap, tap, tap}},
		"no JSON":           {[]byte("hello"), []*os.File{tap}},
		"too long":          {append(fine, make([]byte, maxHello)...), []*os.File{tap}},
		"another version":   {good(func(h *hello) { h.Version = 2 }), []*os.File{tap}},
		"our address":       {good(func(h *hello) { h.IP4 = a.IP4 }), []*os.File{tap}},
		"our MAC":           {good(func(h *hello) { h.MAC = a.MAC }), []*os.File{tap}},
		"no address":        {good(func(h *hello) { h.IP4, h.IP6 = a.IP4.Prev().Prev().Prev(), a.IP4 }), []*os.File{tap}},
		"a multicast MAC":   {good(func(h *hello) { h.MAC[0] = 1 }), []*os.File{tap}},
		"a name with a dot": {good(func(h *hello) { h.Names = []string{"x."} }), []*os.File{tap}},
		"many names":        {good(func(h *hello) { h.Names = strings.Split(strings.Repeat("n,", 100)+"n", ",") }), []*os.File{tap}},
	} {
		c, err := net.DialUnix("unixpacket", nil, address(filepath.Join(r.dir, "10.89.0.2")))
		if err != nil {
			t.Fatal(err)
		}
		var oob []byte
		if bad.files != nil {
			var fds []int
			for _, f := range bad.files {
				raw, err := f.SyscallConn()
				if err != nil {
					t.Fatal(err)
				}
				if err := raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) }); err != nil {
					t.Fatal(err)
				}
			}
			oob = unix.UnixRights(fds...)
		}
		if _, _, err := c.WriteMsgUnix(bad.data, oob, nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		end := make([]byte, maxHello)
		c.Read(end) // its hello, whose descriptor the kernel closes
		if n, err := c.Read(end); err == nil && n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: not sent away: %q, %v", name, end[:n], err)
		}
		c.Close()
		if got := a.ask("members"); got != "" {
			t.Errorf("%s: is a member now: %s", name, got)
		}
	}
	a.says(before, "descriptors")
	if got := r.start(who(3)).ask("ping 10.89.0.2"); got != "pong" {
		t.Errorf("ping after all that: %s", got)
	}
}
