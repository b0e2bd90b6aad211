package external

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rl/slirp/tap"
	"rl/userns/sys/fault"
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

func TestNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, f := container(t)
	for kind, pack := range map[Kind]string{Pasta: "passt", Slirp4netns: "slirp4netns"} {
		var fe *fault.Error
		_, err := Start(context.Background(), kind, f, Options{})
		if !errors.As(err, &fe) || !strings.Contains(fe.Hint, "package "+pack) || err.Error() != string(kind)+" is not installed" {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := Start(context.Background(), kind, f, Options{Path: "/nonexistent/program"}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s of a wrong path: %v", kind, err)
		}
	}
	if _, err := Start(context.Background(), "vpnkit", f, Options{Path: "/bin/true"}); err == nil {
		t.Error("an unknown program was started")
	}
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

// TestStrange runs programs that do not do what they should.
func TestStrange(t *testing.T) {
	_, f := container(t)
	for name, c := range map[string]struct{ text, want string }{
		"ends well":               {"exit 0", "it ended"},
		"ends with a story":       {"echo one >&2; echo two >&2; exit 3", "exit status 3: one; two"},
		"is killed":               {"kill -9 $$", "signal: killed"},
		"never gets ready":        {"exec 3>&- >&-; exec sleep 600", "deadline exceeded"},
		"says something else":     {"echo hello; echo hello >&3; exec sleep 600", "deadline exceeded"},
		"hangs with its last end": {"exec 3>&- >&-; sleep 600 & echo gone >&2; kill -9 $!; exit 1", "exit status 1: gone"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if strings.Contains(c.want, "deadline") {
				ctx, cancel = context.WithTimeout(ctx, time.Second)
				defer cancel()
			}
			for _, kind := range []Kind{Pasta, Slirp4netns} {
				if kind == Slirp4netns && strings.Contains(c.want, "deadline") {
					continue // the time is over
				}
				p, err := Start(ctx, kind, f, Options{Path: script(t, c.text)})
				if p != nil || err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: %v", kind, err)
				}
			}
		})
	}
}

// TestDescriptors checks that the program gets what it needs, and nothing else.
func TestDescriptors(t *testing.T) {
	_, f := container(t)
	for kind, want := range map[Kind]string{Pasta: "0 1 2", Slirp4netns: "0 1 2 3"} {
		out := filepath.Join(t.TempDir(), "out")
		p, err := Start(context.Background(), kind, f, Options{Path: script(t,
			`cd /proc/$$/fd; for i in 0 1 2 3 4 5 6 7 8 9; do [ -L $i ] && list="$list $i"; done
			echo $list $(readlink 0) $(env | grep -c RL_) >`+out+`; [ -L 3 ] && exec >&3; echo $$; exec sleep 600`)})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b); !strings.HasPrefix(got, want+" net:[") && !strings.HasPrefix(got, want+" /proc/") || !strings.HasSuffix(got, " 0\n") {
			t.Errorf("%s: %q", kind, got)
		}
	}
}

// TestDies kills the program from outside. Its exit status may be taken by
// somebody who waits for any child.
func TestDies(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		for _, steal := range []bool{false, true} {
			_, f := container(t)
			p, err := Start(context.Background(), kind, f, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			pid := p.cmd.Process.Pid
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if steal {
				unix.Wait4(pid, nil, 0, nil) // or p was quicker
			}
			select {
			case <-p.Done():
			case <-time.After(20 * time.Second):
				t.Fatal("it ended and was not missed")
			}
			if p.Err() == nil || !strings.HasPrefix(p.Err().Error(), string(kind)+": ") {
				t.Errorf("its end: %v", p.Err())
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestThreads has threads end that might have been the one that PDEATHSIG is bound to.
func TestThreads(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		_, f := container(t)
		p, err := Start(context.Background(), kind, f, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		done := make(chan bool)
		for range 40 {
			go func() {
				runtime.LockOSThread() // and ends with it
				done <- true
			}()
		}
		for range 40 {
			<-done
		}
		select {
		case <-p.Done():
			t.Errorf("it ended with a thread: %v", p.Err())
		case <-time.After(200 * time.Millisecond):
		}
	})
}

// beVictim starts a program, tells its pid, and waits to be killed.
func beVictim(kind Kind) {
	ns, err := tap.Unshare()
	if err == nil {
		var f *os.File
		if f, err = ns.File(); err == nil {
			var p *Process
			if p, err = Start(context.Background(), kind, f, Options{}); err == nil {
				os.Stdout.WriteString(strconv.Itoa(p.cmd.Process.Pid) + "\n")
				time.Sleep(time.Minute)
			}
		}
	}
	os.Stdout.WriteString("failed: " + err.Error() + "\n")
	os.Exit(1)
}

// TestDiesWithUs kills the process that started the program.
func TestDiesWithUs(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), victim+"="+string(kind))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 500)
		n, err := out.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
		if err != nil {
			t.Fatal(string(b[:n]))
		}
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pidfd)
		cmd.Process.Kill()
		cmd.Wait()
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 20000)
			if err == unix.EINTR {
				continue
			}
			if n != 1 {
				t.Errorf("%s outlived us: %v", kind, err)
				unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
			}
			return
		}
	})
}
