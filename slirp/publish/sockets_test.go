package publish

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Where the kernel does not let us, clients come with the container's own address, and
// that is said once.
func TestAddressesLost(t *testing.T) {
	needLab(t)
	weak, err := newSpace(func() error {
		var fd int
		err := lab.box.Do(func() (err error) {
			fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			return err
		})
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return errors.Join(unix.Setns(fd, unix.CLONE_NEWNET), dropCaps())
	})
	if err != nil {
		t.Fatal(err)
	}
	notices := make(chan string, 10)
	sockets := NewSockets(weak, boxAddrs, boxGateways, boxNetworks)
	sockets.Notice = func(text string) { notices <- text }
	port, _ := publishBy(t, sockets, "tcp", 80)
	go echo(lab.box.listen(t, "tcp4", "0.0.0.0:80"))
	for range 3 {
		c := lab.far.dial(t, "tcp", "", "198.51.100.1:"+port)
		seen := make([]byte, len("10.0.2.100:"))
		if _, err := io.ReadFull(c, seen); err != nil || string(seen) != "10.0.2.100:" {
			t.Errorf("seen as %s, %v: want the container's own address", seen, err)
		}
	}
	if len(notices) != 1 {
		t.Fatalf("%d notices", len(notices))
	}
	if text := <-notices; !strings.Contains(text, "operation not permitted") {
		t.Errorf("notice: %s", text)
	}
}

// A container without IPv6, and one without any address.
func TestDestinations(t *testing.T) {
	needLab(t)
	only4 := NewSockets(lab.box, boxAddrs[:1], boxGateways[:1], boxNetworks)
	port, _ := publishBy(t, only4, "tcp", 80)
	go echo(lab.box.listen(t, "tcp4", "0.0.0.0:80"))
	c := lab.far.dial(t, "tcp", "", "[2001:db8::1]:"+port)
	seen := make([]byte, len("10.0.2.2:"))
	if _, err := io.ReadFull(c, seen); err != nil || string(seen) != "10.0.2.2:" {
		t.Errorf("seen as %s, %v: want the gateway", seen, err)
	}
	none := NewSockets(lab.box, nil, nil, nil)
	defer none.Close()
	client := netip.MustParseAddrPort("198.51.100.7:1000")
	if _, err := none.DialTCP(t.Context(), client, 80); !errors.Is(err, unix.ENETUNREACH) {
		t.Error(err)
	}
	if _, err := none.DialUDP(t.Context(), client, 80); !errors.Is(err, unix.ENETUNREACH) {
		t.Error(err)
	}
}

// Whom the container sees, without a kernel.
func TestSeen(t *testing.T) {
	s := NewSockets(nil, boxAddrs, boxGateways, boxNetworks)
	for client, want := range map[string]string{
		"198.51.100.7:99":          "198.51.100.7:99",
		"[::ffff:198.51.100.7]:99": "198.51.100.7:99",
		"[2001:db8::7]:99":         "[2001:db8::7]:99",
		"127.0.0.1:99":             "10.0.2.2:0",
		"[::1]:99":                 "10.0.2.2:0",
		"169.254.3.4:99":           "10.0.2.2:0",
		"[fe80::1%eth0]:99":        "10.0.2.2:0",
		"10.0.2.77:99":             "10.0.2.2:0",
		"10.0.2.100:99":            "10.0.2.2:0",
		"[fd00::77]:99":            "10.0.2.2:0",
	} {
		c := netip.MustParseAddrPort(client)
		if got := s.seen(c, s.destinations(c.Addr())[0]); got.String() != want {
			t.Errorf("%s is seen as %s, want %s", client, got, want)
		}
	}
	six := NewSockets(nil, boxAddrs[1:], boxGateways[1:], boxNetworks)
	c := netip.MustParseAddrPort("198.51.100.7:99")
	if got := six.seen(c, six.destinations(c.Addr())[0]); got.String() != "[fd00::2]:0" {
		t.Errorf("%s is seen as %s by a container without IPv4", c, got)
	}
	alone := NewSockets(nil, boxAddrs, nil, boxNetworks)
	if got := alone.seen(netip.MustParseAddrPort("127.0.0.1:99"), boxAddrs[0]); got.IsValid() {
		t.Errorf("seen as %s without a gateway", got)
	}
}

// Many ports need few rules, and routes of clients long gone are taken away.
func TestRoutesBounded(t *testing.T) {
	needLab(t)
	box, err := newSpace()
	if err != nil {
		t.Fatal(err)
	}
	r, err := openRoutes(box)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	show := func(args ...string) int {
		var out []byte
		box.Do(func() (err error) { out, err = exec.Command("ip", args...).Output(); return err })
		return strings.Count(string(out), "\n")
	}
	if err := box.Do(func() error { return run("ip link set lo up", "ip addr add 10.0.2.100/32 dev lo") }); err != nil {
		t.Fatal(err)
	}
	rules := show("rule")
	client := netip.MustParseAddr("198.51.100.7")
	for port := range 2000 {
		way, err := r.acquire(unix.IPPROTO_TCP, client, boxAddrs[0], uint16(10_000+port))
		if err != nil {
			t.Fatal(err)
		}
		r.release(way)
	}
	if n := show("rule") - rules; n < maxPortRules || n > maxPortRules+10 {
		t.Errorf("%d rules", n)
	}
	for range 2 * maxIdle {
		client = client.Next()
		way, err := r.acquire(unix.IPPROTO_TCP, client, boxAddrs[0], 10_000)
		if err != nil {
			t.Fatal(err)
		}
		r.release(way)
	}
	if n := show("route", "show", "table", "100"); n != maxIdle || len(r.clients) != maxIdle {
		t.Errorf("%d routes, %d known: want %d", n, len(r.clients), maxIdle)
	}
	old, err := r.acquire(unix.IPPROTO_TCP, client, boxAddrs[0], 10_000)
	if err != nil || old.idle != nil || r.idle.Len() != maxIdle-1 {
		t.Errorf("an idle route is used again: %v, %d idle", err, r.idle.Len())
	}
}

// pipeInside is a container that is reached by something else than kernel sockets.
type pipeInside struct{ *Sockets }

func (p pipeInside) DialTCP(ctx context.Context, client netip.AddrPort, port uint16) (net.Conn, error) {
	a, b := net.Pipe()
	go func() {
		io.CopyN(onlyWriter{b}, onlyReader{b}, 5)
		b.Close()
	}()
	return a, nil
}

func TestNoKernelSocket(t *testing.T) {
	needLab(t)
	port, _ := publishBy(t, pipeInside{}, "tcp", 80)
	c := lab.far.dial(t, "tcp", "", "198.51.100.1:"+port)
	c.SetDeadline(time.Now().Add(20 * time.Second))
	c.Write([]byte("hello"))
	back := make([]byte, 5)
	if _, err := io.ReadFull(c, back); err != nil || string(back) != "hello" {
		t.Errorf("%q, %v", back, err)
	}
}
