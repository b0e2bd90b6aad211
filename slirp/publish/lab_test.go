package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rl/slirp/tap"
)

// The tests run in a user namespace, as its root, with three network namespaces:
//
//	far                          host (this process)             box (the container)
//	198.51.100.7  ═══veth═══▶   198.51.100.1, .2      Serve ═▶  10.0.2.100
//	2001:db8::7                 2001:db8::1                      fd00::100
//	                                                             default by a tap whose other end is ours
const inLab = "RL_PUBLISH_LAB"

var lab struct {
	far, box *space
	tap      *os.File
	why      string // there is none
}

func TestMain(m *testing.M) {
	if os.Getenv(inLab) == "" {
		if code, ok := enterLab(); ok {
			os.Exit(code)
		}
	} else if err := buildLab(); err != nil {
		lab.why = err.Error()
	}
	os.Exit(m.Run())
}

// enterLab runs the tests in the namespaces. It is not ok where there can be none.
func enterLab() (code int, ok bool) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inLab+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig is about the thread
	if err := cmd.Start(); err != nil {
		lab.why = "no user namespace: " + err.Error()
		return 0, false
	}
	cmd.Wait()
	return cmd.ProcessState.ExitCode(), true
}

func buildLab() (err error) {
	if lab.far, err = newSpace(); err != nil {
		return err
	}
	if lab.box, err = newSpace(); err != nil {
		return err
	}
	if err := run("ip link set lo up",
		fmt.Sprintf("ip link add far type veth peer name eth1 netns %d", lab.far.tid),
		"ip addr add 198.51.100.1/24 dev far", "ip addr add 198.51.100.2/24 dev far",
		"ip -6 addr add 2001:db8::1/64 dev far nodad", "ip link set far up"); err != nil {
		return err
	}
	if err := lab.far.Do(func() error {
		return run("ip link set lo up", "ip addr add 198.51.100.7/24 dev eth1", "ip addr add 198.51.100.8/24 dev eth1",
			"ip -6 addr add 2001:db8::7/64 dev eth1 nodad", "ip link set eth1 up")
	}); err != nil {
		return err
	}
	return lab.box.Do(func() error {
		if lab.tap, err = openTap("eth0"); err != nil {
			return err
		}
		return run("ip link set lo up", "ip addr add 10.0.2.100/24 dev eth0", "ip -6 addr add fd00::100/64 dev eth0 nodad",
			"ip link set eth0 up", "ip route add default via 10.0.2.2", "ip -6 route add default via fd00::2",
			"ip neigh add 10.0.2.2 lladdr 5a:94:ef:e4:0c:ee dev eth0 nud permanent")
	})
}

// needLab skips a test where there are no namespaces.
func needLab(t *testing.T) {
	t.Helper()
	if lab.why != "" {
		t.Skip("needs network namespaces of its own: ", lab.why)
	}
}

// run runs commands in the network namespace of the calling thread.
func run(commands ...string) error {
	for _, c := range commands {
		f := strings.Fields(c)
		out, err := exec.Command(f[0], f[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %v: %s", c, err, bytes.TrimSpace(out))
		}
	}
	return nil
}

func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("open /dev/net/tun", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, os.NewSyscallError("TUNSETIFF", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// space is a thread in a network namespace.
type space struct {
	*tap.Namespace
	tid int
}

// newSpace makes one, with a thread that first does something else.
func newSpace(prepare ...func() error) (*space, error) {
	ns, err := tap.Unshare()
	if err != nil {
		return nil, err
	}
	s := &space{Namespace: ns}
	return s, ns.Do(func() error {
		s.tid = unix.Gettid()
		for _, f := range prepare {
			if err := f(); err != nil {
				return err
			}
		}
		return nil
	})
}

// listen listens inside.
func (s *space) listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	err := s.Do(func() (err error) { l, err = net.Listen(network, addr); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func (s *space) packets(t *testing.T, network, addr string) *net.UDPConn {
	t.Helper()
	var c net.PacketConn
	err := s.Do(func() (err error) { c, err = net.ListenPacket(network, addr); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

// dial connects from inside; local may be "".
func (s *space) dial(t *testing.T, network, local, addr string) net.Conn {
	t.Helper()
	c, err := s.tryDial(network, local, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func (s *space) tryDial(network, local, addr string) (c net.Conn, err error) {
	d := net.Dialer{Timeout: 20 * time.Second}
	if local != "" {
		ap := netip.MustParseAddrPort(local)
		if strings.HasPrefix(network, "udp") {
			d.LocalAddr = net.UDPAddrFromAddrPort(ap)
		} else {
			d.LocalAddr = net.TCPAddrFromAddrPort(ap)
		}
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
		}
	}
	do := func() (err error) { c, err = d.Dial(network, addr); return err }
	if s == nil {
		return c, errors.Join(do())
	}
	err = s.Do(do)
	return c, err
}

// host is this process's own namespace.
var host *space

var (
	boxAddrs    = []netip.Addr{netip.MustParseAddr("10.0.2.100"), netip.MustParseAddr("fd00::100")}
	boxGateways = []netip.Addr{netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("fd00::2")}
	boxNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.2.0/24"), netip.MustParsePrefix("fd00::/64")}
)

// publishAt publishes a port of the box at any port of the host, and gives that.
func publishAt(t *testing.T, proto string, port uint16) (hostPort string, s *Server) {
	t.Helper()
	needLab(t)
	sockets := NewSockets(lab.box, boxAddrs, boxGateways, boxNetworks)
	sockets.Notice = func(text string) { t.Error("notice: ", text) }
	return publishBy(t, sockets, proto, port)
}

func publishBy(t *testing.T, in Inside, proto string, port uint16) (hostPort string, s *Server) {
	t.Helper()
	bound, err := Bind([]Port{{Proto: proto, ContainerPort: port}})
	if err != nil {
		t.Fatal(err)
	}
	s, err = Serve(context.Background(), bound, in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		if c, ok := in.(*Sockets); ok {
			c.Close()
		}
	})
	return fmt.Sprint(bound[0].HostPort), s
}

// eventually waits for what must become true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("in vain waited until ", what)
}
