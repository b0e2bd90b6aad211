package external

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"rl/slirp/tap"
)

const (
	inside = "RL_TEST_EXTERNAL_INSIDE" // set in the process that plays the monitor
	victim = "RL_TEST_EXTERNAL_VICTIM" // set in one that starts what it says, and is killed
)

// TestMain runs the tests as the monitor does it: as root of a user namespace. What
// is the host's network for the programs is a namespace, too.
func TestMain(m *testing.M) {
	if kind := os.Getenv(victim); kind != "" {
		beVictim(Kind(kind))
	}
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}}
	if err := cmd.Run(); err != nil {
		var e *exec.ExitError
		if !errors.As(err, &e) {
			os.Stderr.WriteString("no user namespace to test in: " + err.Error() + "\n")
		}
		os.Exit(1)
	}
}

// The host of the tests. The second address is where its servers are: pasta gives the
// container the first.
const hostAddr, serverAddr, gatewayAddr = "192.0.2.7", "198.51.100.1", "192.0.2.1"

// host makes the namespace of the process one that could be a host's.
func host(t *testing.T) {
	t.Helper()
	if err := makeHost(); err != nil {
		t.Fatal(err)
	}
}

func makeHost() error {
	if _, err := net.InterfaceByName("host0"); err == nil {
		return nil
	}
	if err := tap.LoopbackUp(); err != nil {
		return err
	}
	d, err := tap.Open("host0")
	if err != nil {
		return err
	}
	held = d.File // for the life of the process
	return tap.Configure(tap.Interface{Name: "host0", MTU: 1500, MAC: [6]byte{2, 0, 0, 0, 0, 7},
		Addrs:    []netip.Prefix{netip.MustParsePrefix(hostAddr + "/24"), netip.MustParsePrefix(serverAddr + "/32")},
		Gateways: []netip.Addr{netip.MustParseAddr(gatewayAddr)}})
}

var held *os.File

// container makes a container's network namespace.
func container(t *testing.T) (*tap.Namespace, *os.File) {
	t.Helper()
	ns, err := tap.Unshare()
	if err != nil {
		t.Fatal(err)
	}
	f, err := ns.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return ns, f
}

// each runs a test for each program that is installed.
func each(t *testing.T, test func(*testing.T, Kind)) {
	for _, kind := range []Kind{Pasta, Slirp4netns} {
		t.Run(string(kind), func(t *testing.T) {
			if _, err := find(kind, ""); err != nil {
				t.Skip(err)
			}
			host(t)
			test(t, kind)
		})
	}
}

// serve answers a line at an address of the host.
func serve(t *testing.T, addr string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", addr+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("hello"))
			c.Close()
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// reach tells what a server says to a program in the container.
func reach(ns *tap.Namespace, addr, port string) (said string, err error) {
	err = ns.Do(func() error {
		c, err := (&net.Dialer{Timeout: 10 * time.Second}).Dial("tcp4", addr+":"+port)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		b, err := io.ReadAll(c)
		said = string(b)
		return err
	})
	return said, err
}

// script makes a program of our own.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
