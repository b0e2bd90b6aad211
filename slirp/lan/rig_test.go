package lan

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A member of these tests is this test binary once more, root of a user namespace
// with a network namespace of its own, whose only device is a real tap. It does what
// it is told, a line at a time, and answers with a line.
const memberVariable = "RL_TEST_LAN_MEMBER"

func TestMain(m *testing.M) {
	if text := os.Getenv(memberVariable); text != "" {
		os.Unsetenv(memberVariable)
		if err := beMember(text); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// order is what a member is told at its start.
type order struct {
	Dir    string
	Member Member
}

func beMember(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	tap, err := openTap(o.Member)
	if err != nil {
		return err
	}
	l, err := Join(o.Dir, o.Member, tap)
	if err != nil {
		return err
	}
	m := &member{l: l, tap: tap}
	go m.read()
	fmt.Println("ok")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		answer, err := m.do(words[0], words[1:])
		if err != nil {
			answer = "error: " + err.Error()
		}
		fmt.Println(answer)
	}
	return nil
}

// openTap makes eth0 with the member's addresses, by the commands that everybody
// knows: slirp/tap has its own tests.
func openTap(m Member) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq("eth0")
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, fmt.Errorf("TUNSETIFF: %w", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetSize); err != nil {
		return nil, fmt.Errorf("TUNSETVNETHDRSZ: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6); err != nil {
		return nil, fmt.Errorf("TUNSETOFFLOAD: %w", err)
	}
	commands := []string{"link set lo up", "link set eth0 address " + net.HardwareAddr(m.MAC[:]).String() + " mtu 65520 up"}
	if m.IP4.IsValid() {
		commands = append(commands, "addr add "+m.IP4.String()+"/24 dev eth0")
	}
	if m.IP6.IsValid() {
		commands = append(commands, "-6 addr add "+m.IP6.String()+"/64 dev eth0 nodad")
	}
	for _, c := range commands {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ip %s: %s", c, out)
		}
	}
	return os.NewFile(uintptr(fd), "eth0"), nil
}

type member struct {
	l        *LAN
	tap      *os.File
	stack    atomic.Int64 // frames that were the stack's
	segments atomic.Int64 // frames that were longer than any packet on a wire
	received atomic.Value // what the last connection brought
}

// read does what the link endpoint does, with a stack that drops everything.
func (m *member) read() {
	var buf [headSize + 65536]byte
	for {
		n, err := m.tap.Read(buf[:])
		if err != nil {
			return
		}
		if n > 9000 {
			m.segments.Add(1)
		}
		if n < headSize || !m.l.Forward(buf[:headSize], buf[headSize:n]) {
			m.stack.Add(1)
		}
	}
}

// rig starts members.
type rig struct {
	*testing.T
	dir string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("iproute2 is not installed: no address for a tap device")
	}
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Skipf("no tap devices: %v", err)
	} else {
		f.Close()
	}
	return &rig{t, meeting(t)}
}

// meeting makes a directory as members want it.
func meeting(t testing.TB) string {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fellow is a member in its own process.
type fellow struct {
	Member
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	ended bool
}

// who makes up the member with address 10.89.0.n.
func who(n byte, names ...string) Member {
	return Member{
		ID: strings.Repeat(string(rune('a'+n%26)), 64), Names: names,
		IP4: netip.AddrFrom4([4]byte{10, 89, 0, n}), IP6: netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x89, 15: n}),
		MAC: [6]byte{2, 0x42, 10, 89, 0, n},
	}
}

// begin starts a member and does not wait.
func (r *rig) begin(m Member) *fellow {
	r.Helper()
	text, err := json.Marshal(order{r.dir, m})
	if err != nil {
		r.Fatal(err)
	}
	f := &fellow{Member: m, t: r.T, cmd: exec.Command("/proc/self/exe")}
	f.cmd.Env = append(os.Environ(), memberVariable+"="+string(text))
	f.cmd.Stderr = os.Stderr
	f.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	if f.in, err = f.cmd.StdinPipe(); err != nil {
		r.Fatal(err)
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		r.Fatal(err)
	}
	f.out = bufio.NewReader(out)
	runtime.LockOSThread() // for Pdeathsig: another's thread may end with its test
	if err := f.cmd.Start(); err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) {
			r.Skipf("no user namespace: %v", err)
		}
		r.Fatal(err)
	}
	r.Cleanup(f.kill)
	return f
}

// start starts a member and waits until it has joined.
func (r *rig) start(m Member) *fellow {
	r.Helper()
	f := r.begin(m)
	f.hear("ok")
	return f
}

func (f *fellow) kill() {
	if !f.ended {
		f.ended = true
		f.cmd.Process.Kill()
		f.cmd.Wait()
	}
}

func (f *fellow) hear(want string) {
	f.t.Helper()
	if got := f.line(); got != want {
		f.t.Fatalf("%s says %q, want %q", f.IP4, got, want)
	}
}

func (f *fellow) line() string {
	line, err := f.out.ReadString('\n')
	if err != nil {
		return "error: " + err.Error()
	}
	return strings.TrimSpace(line)
}

// ask has the member do something and gives its answer.
func (f *fellow) ask(format string, args ...any) string {
	f.t.Helper()
	fmt.Fprintf(f.in, format+"\n", args...)
	return f.line()
}

// says asks until the answer is the one wanted: members learn of each other soon,
// not at once.
func (f *fellow) says(want, format string, args ...any) {
	f.t.Helper()
	got := ""
	for range 200 {
		if got = f.ask(format, args...); got == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	f.t.Fatalf("%s, asked to %s, says %q, want %q", f.IP4, fmt.Sprintf(format, args...), got, want)
}
