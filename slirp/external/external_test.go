package external

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rl/slirp/tap"
	"rl/userns/sys/fault"
)

// TestReady checks that the network works when Start returns, and that nothing of it is left
// when Close does.
func TestReady(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		port := serve(t, serverAddr)
		for _, o := range []Options{
			{},
			{Name: "eth0", MTU: 1400, MAC: [6]byte{2, 0x42, 10, 0, 7, 100}, Subnet: netip.MustParsePrefix("10.0.7.0/24"), IPv6: true,
				DNS: netip.MustParseAddr("169.254.1.1")},
		} {
			ns, f := container(t)
			p, err := Start(context.Background(), kind, f, o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Close() })
			name, addr := o.Name, "10.0.2.100/24"
			if name == "" {
				name = map[Kind]string{Pasta: "host0", Slirp4netns: "tap0"}[kind]
			} else {
				addr = "10.0.7.100/24"
			}
			if kind == Pasta {
				addr = hostAddr + "/24"
			}
			device := func() (i *net.Interface, addrs []net.Addr, err error) {
				err = ns.Do(func() (err error) {
					if i, err = net.InterfaceByName(name); err == nil {
						addrs, err = i.Addrs()
					}
					return err
				})
				return
			}
			i, addrs, err := device()
			if err != nil {
				t.Fatal(err)
			}
			if want := max(o.MTU, 1400); o.MTU != 0 && i.MTU != want || o.MTU == 0 && i.MTU != 65520 || i.Flags&net.FlagUp == 0 {
				t.Errorf("the device is %+v", i)
			}
			if o.MAC != [6]byte{} && i.HardwareAddr.String() != "02:42:0a:00:07:64" {
				t.Errorf("its link address is %s", i.HardwareAddr)
			}
			if len(addrs) == 0 || addrs[0].String() != addr {
				t.Errorf("its addresses are %v", addrs)
			}
			if said, err := reach(ns, serverAddr, port); said != "hello" {
				t.Errorf("a server of the host says %q: %v", said, err)
			}
			if p.Err() != nil {
				t.Errorf("it runs, and %v", p.Err())
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			if _, _, err := device(); err == nil {
				t.Error("the device is there after Close")
			}
			if err := p.Close(); err != nil {
				t.Errorf("closed again: %v", err)
			}
			if p.Err() == nil {
				t.Error("it has ended, and does not know")
			}
		}
	})
}

func TestHostLoopback(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		port := serve(t, "127.0.0.1")
		gateway := map[Kind]string{Pasta: gatewayAddr, Slirp4netns: "10.0.2.2"}[kind]
		for _, allowed := range []bool{true, false} {
			ns, f := container(t)
			p, err := Start(context.Background(), kind, f, Options{HostLoopback: allowed})
			if err != nil {
				t.Fatal(err)
			}
			said, err := func() (string, error) {
				if allowed {
					return reach(ns, gateway, port)
				}
				// The gateway may be one that nobody answers for: that it does not in a
				// second is enough.
				var said string
				err := ns.Do(func() error {
					c, err := net.DialTimeout("tcp4", gateway+":"+port, time.Second)
					if err == nil {
						c.SetDeadline(time.Now().Add(time.Second))
						var b []byte
						b, err = io.ReadAll(c)
						said = string(b)
						c.Close()
					}
					return err
				})
				return said, err
			}()
			if (said == "hello") != allowed {
				t.Errorf("allowed %t: %q, %v", allowed, said, err)
			}
			p.Close()
		}
	})
}

// TestRefused checks that what the program says reaches the user, in one line.
func TestRefused(t *testing.T) {
	for kind, want := range map[Kind]string{Pasta: "Invalid MTU: 99999", Slirp4netns: "MTU must be"} {
		t.Run(string(kind), func(t *testing.T) {
			if _, err := find(kind, ""); err != nil {
				t.Skip(err)
			}
			host(t)
			_, f := container(t)
			p, err := Start(context.Background(), kind, f, Options{MTU: 99999})
			if p != nil || err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), string(kind)+": exit status ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("an MTU of 99999: %v", err)
			}
			_, err = Start(context.Background(), kind, f, Options{Extra: []string{"--bogus"}})
			if err == nil || !strings.Contains(err.Error(), "'--bogus'") || strings.Contains(err.Error(), "\n") || len(err.Error()) > 100 {
				t.Errorf("an unknown option: %v", err)
			}
			null, err := os.Open(os.DevNull)
			if err != nil {
				t.Fatal(err)
			}
			defer null.Close()
			if _, err = Start(context.Background(), kind, null, Options{}); err == nil {
				t.Error("started without a namespace")
			}
		})
	}
}

// TestNoRoute is a host without a network, where pasta has nothing to copy.
func TestNoRoute(t *testing.T) {
	if _, err := find(Pasta, ""); err != nil {
		t.Skip(err)
	}
	lonely, err := tap.Unshare()
	if err != nil {
		t.Fatal(err)
	}
	_, f := container(t)
	cmd := &exec.Cmd{Path: "/usr/bin/env", Args: append([]string{"env", "pasta"}, pastaArgs(&Options{}, true)...), Stdin: f}
	var p *Process
	// A child of that thread is in its namespace.
	err = lonely.Do(func() error {
		p = &Process{kind: Pasta, cmd: cmd, done: make(chan struct{})}
		cmd.Stderr = &p.stderr
		return p.ended(cmd.Run())
	})
	var fe *fault.Error
	if !errors.As(err, &fe) || !strings.Contains(fe.Hint, "default route") {
		t.Errorf("without a route: %v", err)
	}
}
