package tap

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

const inside = "RL_TEST_TAP_INSIDE"

// TestMain runs the tests in a user namespace, as the monitor does.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
	if err := cmd.Run(); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			os.Stderr.WriteString("no user namespace to test in: " + err.Error() + "\n")
		}
		os.Exit(1)
	}
}

func space(t *testing.T) *Namespace {
	t.Helper()
	ns, err := Unshare()
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// local checks which of its addresses the kernel takes for a way.
func local(t *testing.T, fromTo map[string]string) {
	t.Helper()
	for to, from := range fromTo {
		c, err := net.Dial("udp", to)
		if err != nil {
			t.Error(err)
			continue
		}
		if local := c.LocalAddr().(*net.UDPAddr).IP.String(); local != from {
			t.Errorf("to %s from %s", to, local)
		}
		c.Close()
	}
}

func TestDevice(t *testing.T) {
	want := Interface{Name: "eth0", MAC: [6]byte{2, 0x42, 10, 0, 2, 100}, MTU: 65520,
		Addrs:    prefixes("10.0.2.100/24", "fd00::100/64"),
		Gateways: []netip.Addr{netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("fd00::2")}}
	err := space(t).Do(func() error {
		if err := LoopbackUp(); err != nil {
			return err
		}
		d, err := Open(want.Name)
		if err != nil {
			return err
		}
		t.Cleanup(func() { d.File.Close() })
		if !d.Offload {
			t.Error("the device has no offloads")
		}
		if err := Configure(want); err != nil {
			return err
		}
		i, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		if i.MTU != 65520 || i.HardwareAddr.String() != "02:42:0a:00:02:64" || i.Flags&net.FlagUp == 0 {
			t.Errorf("the device is %+v", i)
		}
		addrs, err := i.Addrs()
		if err != nil {
			return err
		}
		got := ""
		for _, a := range addrs {
			got += a.String() + " "
		}
		if got != "10.0.2.100/24 fd00::100/64 " {
			t.Errorf("its addresses are %s", got)
		}
		if lo, _ := net.InterfaceByName("lo"); lo == nil || lo.Flags&net.FlagUp == 0 {
			t.Errorf("the loopback interface is %+v", lo)
		}
		// The kernel would go to the world by the gateways.
		local(t, map[string]string{"192.0.2.1:9": "10.0.2.100", "[2001:db8::1]:9": "fd00::100"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Nothing of it is where the rest of the process is.
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.HardwareAddr.String() == "02:42:0a:00:02:64" {
			t.Errorf("%s is in the namespace of the process", i.Name)
		}
	}
}

// TestSecondDevice is what connecting to a network and leaving it is.
func TestSecondDevice(t *testing.T) {
	err := space(t).Do(func() error {
		for _, i := range []Interface{
			{Name: "eth0", MAC: [6]byte{2, 0, 0, 0, 0, 1}, MTU: 1500, Addrs: prefixes("10.0.2.100/24"), Gateways: []netip.Addr{netip.MustParseAddr("10.0.2.2")}},
			{Name: "eth1", MAC: [6]byte{2, 0, 0, 0, 0, 2}, MTU: 68, Addrs: prefixes("10.89.0.2/24")},
		} {
			d, err := Open(i.Name)
			if err != nil {
				return err
			}
			if err := Configure(i); err != nil {
				return err
			}
			from := map[string]string{"192.0.2.1:9": "10.0.2.100", "10.89.0.9:9": "10.0.2.100"}
			if i.Name == "eth1" {
				from["10.89.0.9:9"] = "10.89.0.2"
			}
			local(t, from)
			if i.Name == "eth1" {
				Remove(d.File) // takes its routes away, too
				local(t, map[string]string{"10.89.0.9:9": "10.0.2.100"})
				if _, err := net.InterfaceByName("eth1"); err == nil {
					t.Error("eth1 was not removed")
				}
			} else {
				t.Cleanup(func() { d.File.Close() })
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFrames sends a datagram to the world and looks at what comes out of the
// device: first the question for the gateway, behind 10 bytes of header.
func TestFrames(t *testing.T) {
	var d *Device
	err := space(t).Do(func() (err error) {
		if d, err = Open("eth0"); err != nil {
			return err
		}
		t.Cleanup(func() { d.File.Close() })
		if err := Configure(Interface{Name: "eth0", MAC: [6]byte{2, 0, 0, 0, 0, 1}, MTU: 1500,
			Addrs: prefixes("10.0.2.100/24", "fd00::100/64"), Gateways: []netip.Addr{netip.MustParseAddr("10.0.2.2")}}); err != nil {
			return err
		}
		c, err := net.Dial("udp", "192.0.2.1:9")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d.File.SetReadDeadline(time.Now().Add(20 * time.Second)) // it waits in the poller
	frame := make([]byte, 70000)
	n, err := d.File.Read(frame)
	if err != nil {
		t.Fatal(err)
	}
	// A device that solicited routers or joined groups of listeners would have said so before.
	want := "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x06" + "\x00\x01\x08\x00\x06\x04\x00\x01" + "\x02\x00\x00\x00\x00\x01\x0a\x00\x02\x64"
	if got := string(frame[:n]); len(got) < 10+42 || !strings.HasPrefix(got[10:], want) || !strings.HasSuffix(got[:10+42], "\x0a\x00\x02\x02") {
		t.Errorf("the first frame is %x", got)
	}
}

// TestExplain forces the errors of hosts that do not let us have a device.
func TestExplain(t *testing.T) {
	for err, want := range map[error]string{unix.ENOENT: "modprobe tun", unix.ENODEV: "modprobe tun", unix.EACCES: "chmod 0666", unix.EPERM: "--device", unix.EMFILE: ""} {
		var f *fault.Error
		got := Explain(&os.PathError{Op: "open", Path: "/dev/net/tun", Err: err})
		if !errors.As(got, &f) || !strings.Contains(f.Hint, want) || want == "" && f.Hint != "" || !errors.Is(got, err) {
			t.Errorf("%v: %v, %q", err, got, f.Hint)
		}
	}
}

func TestErrorsName(t *testing.T) {
	good := Interface{Name: "eth0", MTU: 1500, MAC: [6]byte{2}, Addrs: prefixes("10.0.2.100/24"), Gateways: []netip.Addr{netip.MustParseAddr("10.0.2.2")}}
	for want, change := range map[string]func(*Interface){
		"route by 10.9.9.9":     func(i *Interface) { i.Gateways[0] = netip.MustParseAddr("10.9.9.9") }, // outside of the subnet
		"MTU 67 ":               func(i *Interface) { i.MTU = 67 },
		"MTU 70000 ":            func(i *Interface) { i.MTU = 70000 },
		"address 03:00:":        func(i *Interface) { i.MAC[0] = 3 }, // a multicast one
		"address 10.0.2.100/24": func(i *Interface) { i.Addrs = prefixes("10.0.2.100/24", "10.0.2.100/24") },
		"address fd00::1/64":    func(i *Interface) { i.MTU, i.Addrs = 1279, prefixes("10.0.2.100/24", "fd00::1/64") },
		"device nosuch":         func(i *Interface) { i.Name = "nosuch" },
		"invalid":               func(i *Interface) { i.Name = "a-name-too-long-for-a-device" },
	} {
		err := space(t).Do(func() error {
			d, err := Open("eth0")
			if err != nil {
				t.Error(err)
				return nil
			}
			defer d.File.Close()
			i := good
			i.Gateways = slices.Clone(good.Gateways)
			change(&i)
			return Configure(i)
		})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := Open("a-name-too-long-for-a-device"); err == nil {
		t.Error("a name of 28 bytes was taken")
	}
	err := space(t).Do(func() error {
		d, err := Open("eth0")
		if err != nil {
			return err
		}
		defer d.File.Close()
		_, err = Open("eth0")
		return err
	})
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "eth0") {
		t.Errorf("a device that is there was made again: %v", err)
	}
}

func TestNamespaceFile(t *testing.T) {
	f, err := space(t).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	again, err := Enter(f)
	if err != nil {
		t.Fatal(err)
	}
	g, err := again.File()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	a, _ := f.Stat()
	b, _ := g.Stat()
	if !os.SameFile(a, b) {
		t.Error("Enter came into another namespace")
	}
}

// TestDo checks that what is asked is done on one thread, one after the other.
func TestDo(t *testing.T) {
	ns := space(t)
	var tid, busy int
	done := make(chan error)
	for range 50 {
		go func() {
			done <- ns.Do(func() error {
				if busy++; busy != 1 {
					return errors.New("two at a time")
				}
				defer func() { busy-- }()
				if tid == 0 {
					tid = unix.Gettid()
				}
				if tid != unix.Gettid() {
					return errors.New("another thread")
				}
				return nil
			})
		}()
	}
	for range 50 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if tid == os.Getpid() {
		t.Error("the process itself entered the namespace")
	}
}

// BenchmarkSetUp is what a container's start pays, but for the namespace.
func BenchmarkSetUp(b *testing.B) {
	ns, err := Unshare()
	if err != nil {
		b.Fatal(err)
	}
	i := Interface{Name: "eth0", MTU: 65520, MAC: [6]byte{2}, Addrs: prefixes("10.0.2.100/24", "fd00::100/64"),
		Gateways: []netip.Addr{netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("fd00::2")}}
	for range b.N {
		var d *Device
		err := ns.Do(func() (err error) {
			if d, err = Open(i.Name); err != nil {
				return err
			}
			return Configure(i)
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		d.File.Close()
		b.StartTimer()
	}
}
