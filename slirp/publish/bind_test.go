package publish

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

func TestBind(t *testing.T) {
	needLab(t)
	bound, err := Bind([]Port{
		{Proto: "tcp", ContainerPort: 80},
		{Proto: "udp", ContainerPort: 80},
		{Proto: "tcp", HostIP: netip.MustParseAddr("127.0.0.1"), ContainerPort: 80},
		{Proto: "udp", HostIP: netip.MustParseAddr("::1"), ContainerPort: 80},
		{Proto: "tcp", HostIP: netip.MustParseAddr("::ffff:127.0.0.1"), ContainerPort: 80},
		{Proto: "tcp", HostIP: netip.MustParseAddr("::"), ContainerPort: 80},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"0.0.0.0 ::", "0.0.0.0 ::", "127.0.0.1", "::1", "127.0.0.1", "::"}
	for i, b := range bound {
		defer b.Close()
		var at []string
		for _, f := range b.Files {
			sa, err := unix.Getsockname(int(f.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			var port int
			switch sa := sa.(type) {
			case *unix.SockaddrInet4:
				at, port = append(at, netip.AddrFrom4(sa.Addr).String()), sa.Port
			case *unix.SockaddrInet6:
				at, port = append(at, netip.AddrFrom16(sa.Addr).String()), sa.Port
			}
			if port == 0 || port != int(b.HostPort) {
				t.Errorf("%s: a socket has port %d", b.Port, port)
			}
		}
		if got := strings.Join(at, " "); got != want[i] {
			t.Errorf("%s: sockets at %s, want %s", b.Port, got, want[i])
		}
	}
}

func TestBindBusy(t *testing.T) {
	needLab(t)
	tcp, err := net.Listen("tcp6", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	tcpPort, udpPort := addrPort(tcp.Addr()).Port(), addrPort(udp.LocalAddr()).Port()
	for _, test := range []struct {
		port Port
		want string
	}{
		{Port{"tcp", netip.Addr{}, tcpPort, 80}, fmt.Sprintf("port %d/tcp on :: is already in use", tcpPort)},
		{Port{"udp", netip.Addr{}, udpPort, 80}, fmt.Sprintf("port %d/udp on 0.0.0.0 is already in use", udpPort)},
		{Port{"udp", netip.MustParseAddr("127.0.0.1"), udpPort, 80}, fmt.Sprintf("port %d/udp on 127.0.0.1 is already in use", udpPort)},
		{Port{"tcp", netip.MustParseAddr("192.0.2.99"), 8080, 80}, "port 8080/tcp on 192.0.2.99: this host does not have that address"},
		{Port{"sctp", netip.Addr{}, 8080, 80}, `port 80: unknown protocol "sctp"`},
	} {
		free, err := Bind([]Port{{Proto: "tcp"}})
		if err != nil {
			t.Fatal(err)
		}
		free[0].Close()
		first := free[0].Port
		bound, err := Bind([]Port{first, test.port})
		if err == nil || err.Error() != test.want || bound != nil {
			t.Errorf("%s: %v, want %s", test.port, err, test.want)
		}
		again, err := Bind([]Port{first})
		if err != nil {
			t.Errorf("not all or nothing: %v", err)
			continue
		}
		again[0].Close()
	}
}

// Tried on a thread that has no capability.
func TestBindLowPort(t *testing.T) {
	needLab(t)
	weak, err := newSpace(dropCaps)
	if err != nil {
		t.Fatal(err)
	}
	err = weak.Do(func() error {
		_, err := Bind([]Port{{Proto: "tcp", HostPort: 80, ContainerPort: 8000}})
		return err
	})
	var f *fault.Error
	if !errors.As(err, &f) || !strings.HasPrefix(err.Error(), "port 80/tcp on 0.0.0.0 needs a privilege") ||
		!strings.Contains(f.Hint, "-p 8080:8000") || !strings.Contains(f.Hint, "net.ipv4.ip_unprivileged_port_start=80") {
		t.Errorf("%v, with the hint %q", err, f.Hint)
	}
}

func dropCaps() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}
