package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A far is the host's end of one measurement: it listens, on all addresses, at a
// port of its own, so that what a former one left on the way disturbs nobody.
type far struct {
	port int
	// rate is what this end counted, for loads that are counted here. It may be nil.
	rate func() (float64, error)
	stop func() error
}

func portOf(a net.Addr) int { return int(netip.MustParseAddrPort(a.String()).Port()) }

func listen() (net.Listener, error) { return net.Listen("tcp4", "0.0.0.0:0") }

// farEcho gives back every byte.
func farEcho() (*far, error) {
	l, err := listen()
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(onlyWriter{c}, c)
			}()
		}
	}()
	return &far{port: portOf(l.Addr()), stop: l.Close}, nil
}

// onlyWriter hides a connection's splice, which waits in other ways.
type onlyWriter struct{ io.Writer }

func farHTTP() (*far, error) {
	l, err := listen()
	if err != nil {
		return nil, err
	}
	server := http.Server{ReadHeaderTimeout: loadLimit, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello\n")
	})}
	go func() { _ = server.Serve(l) }()
	return &far{port: portOf(l.Addr()), stop: server.Close}, nil
}

func farDatagrams() (*net.UDPConn, error) {
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadBuffer(4 << 20) // as far as the host allows
	return c, nil
}

// farCount counts datagrams until none has come for a while.
func farCount() (*far, error) {
	c, err := farDatagrams()
	if err != nil {
		return nil, err
	}
	var n counter
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 2*datagram)
		for {
			if _, _, err := c.ReadFromUDPAddrPort(b); err != nil {
				return
			}
			n.one()
		}
	}()
	return &far{
		port: portOf(c.LocalAddr()),
		rate: func() (float64, error) {
			time.Sleep(loadTime / 4) // for what is still on the way
			if err := c.SetReadDeadline(time.Now()); err != nil {
				return 0, err
			}
			<-done
			return n.rate()
		},
		stop: c.Close,
	}, nil
}

// farBlast answers the first hello with datagrams for a second.
func farBlast() (*far, error) {
	c, err := farDatagrams()
	if err != nil {
		return nil, err
	}
	go func() {
		_, to, err := c.ReadFromUDPAddrPort(make([]byte, datagram))
		if err != nil {
			return
		}
		_ = blast(func(b []byte) error { _, err := c.WriteToUDPAddrPort(b, to); return err })
	}()
	return &far{port: portOf(c.LocalAddr()), stop: c.Close}, nil
}

// farIperf is iperf3's own server.
func farIperf() (*far, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	_, stop, err := background("iperf3", "-s", "-4", "-p", strconv.Itoa(port))
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if listening(port) {
			return &far{port: port, stop: stop}, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(errors.New("iperf3 -s does not listen"), stop())
		}
	}
}

// listening asks the kernel's table, for iperf3 takes any connection for a client.
func listening(port int) bool {
	table, _ := os.ReadFile("/proc/net/tcp")
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 3 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
			return true
		}
	}
	return false
}

func freePort() (int, error) {
	l, err := listen()
	if err != nil {
		return 0, err
	}
	return portOf(l.Addr()), l.Close()
}

// patient bounds everything that is waited for: nothing here takes so long.
const patient = 10 * time.Minute

// command ends by itself: it is asked to when its time is over, and killed when
// it does not listen.
func command(limit time.Duration, args ...string) (*exec.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd, cancel
}

// background starts a program that runs until it is stopped.
func background(args ...string) (pid int, stop func() error, err error) {
	cmd, cancel := command(patient, args...)
	if err := cmd.Start(); err != nil {
		cancel()
		return 0, nil, err
	}
	return cmd.Process.Pid, func() error {
		cancel()
		_ = cmd.Wait() // it says that it was ended, which is so
		return nil
	}, nil
}

// say runs a program that is measured, and gives what it printed.
func say(limit time.Duration, args ...string) (string, error) {
	cmd, cancel := command(limit, args...)
	defer cancel()
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		why := strings.TrimSpace(said.String() + " " + string(out))
		if i := strings.LastIndexByte(why, '\n'); i >= 0 && len(why) > 300 {
			why = why[i+1:]
		}
		return "", fmt.Errorf("%w: %s", err, why)
	}
	return string(out), nil
}

// iperfBits reads iperf3 -J: bits a second, as the receiver saw them.
func iperfBits(out string) (float64, error) {
	var report struct {
		Error string
		End   struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		return 0, fmt.Errorf("iperf3 -J: %w", err)
	}
	if report.Error != "" || report.End.Received.Bits == 0 {
		return 0, fmt.Errorf("iperf3: nothing was received: %s", report.Error)
	}
	return report.End.Received.Bits, nil
}

// iperfMounts gives a container the host's iperf3 and those of its libraries that
// the root filesystem does not have.
func iperfMounts(rootfs string) ([]string, error) {
	program, err := exec.LookPath("iperf3")
	if err != nil {
		return nil, err
	}
	text, err := output("ldd", program)
	if err != nil {
		return nil, err
	}
	mounts := []string{"-v", program + ":/usr/bin/iperf3:ro"}
	for line := range strings.Lines(text) {
		_, rest, ok := strings.Cut(line, "=> /")
		if !ok {
			continue
		}
		lib := "/" + strings.Fields(rest)[0]
		if _, err := os.Stat(filepath.Join(rootfs, lib)); err == nil {
			continue
		}
		file, err := filepath.EvalSymlinks(lib)
		if err != nil {
			return nil, err
		}
		dir, err := filepath.EvalSymlinks(filepath.Dir(lib))
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, "-v", file+":"+filepath.Join(dir, filepath.Base(lib))+":ro")
	}
	return mounts, nil
}

// ownAddress is where the host is reached without any traffic that leaves: the
// address that it would send from. Connecting a datagram socket sends nothing.
func ownAddress() (netip.Addr, bool) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}, false
	}
	defer unix.Close(fd)
	if unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 1}}) != nil {
		return netip.Addr{}, false
	}
	self, err := unix.Getsockname(fd)
	if s, ok := self.(*unix.SockaddrInet4); err == nil && ok {
		a := netip.AddrFrom4(s.Addr)
		return a, a.IsGlobalUnicast()
	}
	return netip.Addr{}, false
}
