package tap

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
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

func TestDevice(t *testing.T) {
	ns, err := Unshare()
	if err != nil {
		t.Fatal(err)
	}
	want := Interface{Name: "eth0", MAC: [6]byte{2, 0x42, 10, 0, 2, 100}, MTU: 65520,
		Addrs:    []netip.Prefix{netip.MustParsePrefix("10.0.2.100/24"), netip.MustParsePrefix("fd00::100/64")},
		Gateways: []netip.Addr{netip.MustParseAddr("10.0.2.2"), netip.MustParseAddr("fd00::2")}}
	err = ns.Do(func() error {
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
		for to, from := range map[string]string{"192.0.2.1:9": "10.0.2.100", "[2001:db8::1]:9": "fd00::100"} {
			c, err := net.Dial("udp", to)
			if err != nil {
				return err
			}
			if local := c.LocalAddr().(*net.UDPAddr).IP.String(); local != from {
				t.Errorf("to %s from %s", to, local)
			}
			c.Close()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := net.InterfaceByName("eth0"); err == nil && os.Getenv("RL_TEST_TAP_INSIDE") == "1" {
		if i, _ := net.InterfaceByName("eth0"); i.HardwareAddr.String() == "02:42:0a:00:02:64" {
			t.Error("the device is in the namespace of the process")
		}
	}
}

func TestErrorsName(t *testing.T) {
	ns, err := Unshare()
	if err != nil {
		t.Fatal(err)
	}
	err = ns.Do(func() error {
		d, err := Open("eth0")
		if err != nil {
			return err
		}
		defer d.File.Close()
		return Configure(Interface{Name: "eth0", MTU: 1500, MAC: [6]byte{2}, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.2.100/24")},
			Gateways: []netip.Addr{netip.MustParseAddr("10.9.9.9")}})
	})
	if err == nil || !strings.Contains(err.Error(), "10.9.9.9") {
		t.Errorf("a gateway outside the subnet: %v", err)
	}
	if err := ns.Do(func() error { return Configure(Interface{Name: "nosuch"}) }); err == nil {
		t.Error("a device that is not there was configured")
	}
	if _, err := Open("a-name-too-long-for-a-device"); err == nil {
		t.Error("a name of 28 bytes was taken")
	}
}

func TestNamespaceFile(t *testing.T) {
	ns, err := Unshare()
	if err != nil {
		t.Fatal(err)
	}
	f, err := ns.File()
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
