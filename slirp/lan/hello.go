package lan

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// hello is the only message: who one is. The tap descriptor comes with it.
type hello struct {
	Version int
	Session string
	Member
}

const (
	version  = 1
	maxHello = 32 << 10
	maxNames = 64
)

func newSession() string { return rand.Text() }

// check refuses what cannot be a member.
func (m *Member) check() error {
	switch {
	case !m.IP4.IsValid() && !m.IP6.IsValid():
		return errors.New("member of a network without an address")
	case m.IP4.IsValid() && !m.IP4.Is4(), m.IP6.IsValid() && (!m.IP6.Is6() || m.IP6.Is4In6() || m.IP6.Zone() != ""):
		return fmt.Errorf("member of a network with address %s %s: wrong family", m.IP4, m.IP6)
	case !unicast(m.IP4), !unicast(m.IP6):
		return fmt.Errorf("member of a network with address %s %s: not one that a container can have", m.IP4, m.IP6)
	case m.MAC[0]&1 != 0 || m.MAC == [6]byte{}:
		return fmt.Errorf("member of a network with link address %s: not a unicast one", net.HardwareAddr(m.MAC[:]))
	case len(m.Names) > maxNames:
		return fmt.Errorf("member of a network with %d names: at most %d", len(m.Names), maxNames)
	}
	for _, n := range m.Names {
		if n == "" || len(n) > 253 || n != strings.ToLower(n) || strings.HasSuffix(n, ".") {
			return fmt.Errorf("member of a network called %q: not a name", n)
		}
	}
	return nil
}

// names makes names as they are looked up, each once.
func names(list []string) (out []string) {
	for _, n := range list {
		if n = strings.ToLower(strings.TrimSuffix(n, ".")); n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func unicast(a netip.Addr) bool {
	return !a.IsValid() || !a.IsMulticast() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

// addr is the address that a member is filed under.
func (m *Member) addr() netip.Addr {
	if m.IP4.IsValid() {
		return m.IP4
	}
	return m.IP6
}

func (m *Member) file() string { return m.addr().String() }

func sendHello(c *net.UnixConn, h hello, tap *device) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if !tap.use() {
		return os.ErrClosed
	}
	defer tap.done()
	_, _, err = c.WriteMsgUnix(data, unix.UnixRights(tap.fd), nil)
	return err
}

// recvHello waits for the other's hello and checks all of it.
func recvHello(c *net.UnixConn) (h hello, tap *device, err error) {
	data, oob := make([]byte, maxHello), make([]byte, unix.CmsgSpace(4*4))
	n, oobn, flags, _, err := c.ReadMsgUnix(data, oob)
	if err != nil {
		return h, nil, err
	}
	fds := received(oob[:oobn])
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 || len(fds) != 1 {
		return h, nil, fmt.Errorf("a hello of %d bytes with %d descriptors", n, len(fds))
	}
	if err := json.Unmarshal(data[:n], &h); err != nil {
		return h, nil, err
	}
	if h.Version != version || h.Session == "" || len(h.Session) > 64 {
		return h, nil, fmt.Errorf("a hello of version %d", h.Version)
	}
	if err := h.check(); err != nil {
		return h, nil, err
	}
	if err := checkTap(fds[0]); err != nil {
		return h, nil, err
	}
	tap = &device{fd: fds[0], close: unix.Close}
	fds = nil
	return h, tap, nil
}

func received(oob []byte) (fds []int) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range msgs {
		if list, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, list...)
		}
	}
	return fds
}

// checkTap refuses a descriptor that is not of /dev/net/tun (character device
// 10:200), or that would have writers wait.
func checkTap(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(10, 200) {
		return errors.New("not a tap device")
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if flags&unix.O_NONBLOCK == 0 {
		return errors.New("a blocking descriptor, which would have every writer wait")
	}
	return nil
}

// duplicate takes a descriptor of its own of the caller's device.
func duplicate(tap *os.File) (*device, error) {
	raw, err := tap.SyscallConn() // not Fd, which would make it blocking
	if err != nil {
		return nil, err
	}
	fd := -1
	cerr := raw.Control(func(f uintptr) {
		if err = checkTap(int(f)); err == nil {
			fd, err = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 0)
		}
	})
	if cerr != nil {
		return nil, cerr
	}
	if err != nil {
		return nil, fmt.Errorf("tap device %s: %w", tap.Name(), err)
	}
	return &device{fd: fd, close: unix.Close}, nil
}
