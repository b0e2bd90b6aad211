package publish

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// echo answers each connection with the client's address and what it sent.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			fmt.Fprintf(c, "%s\n", c.RemoteAddr())
			io.Copy(onlyWriter{c}, onlyReader{c}) // without a pipe of its own
		}()
	}
}

func TestTCPClientAddress(t *testing.T) {
	port, _ := publishAt(t, "tcp", 80)
	go echo(lab.box.listen(t, "tcp4", "0.0.0.0:80"))
	go echo(lab.box.listen(t, "tcp6", "[::]:80"))
	const own = "own"
	for _, test := range []struct {
		where      *space
		addr, seen string
	}{
		{lab.far, "198.51.100.1", own},
		{lab.far, "198.51.100.2", own},
		{lab.far, "2001:db8::1", own},
		{host, "198.51.100.1", own},
		{host, "2001:db8::1", own},
		{host, "127.0.0.1", "10.0.2.2"},
		{host, "::1", "10.0.2.2"},
	} {
		t.Run(test.addr, func(t *testing.T) {
			for range 3 {
				c := test.where.dial(t, "tcp", "", net.JoinHostPort(test.addr, port)).(*net.TCPConn)
				sent := random(100_000)
				go func() {
					c.Write(sent)
					c.CloseWrite()
				}()
				all, err := io.ReadAll(c)
				if err != nil {
					t.Fatal(err)
				}
				seen, data, _ := bytes.Cut(all, []byte("\n"))
				if !bytes.Equal(data, sent) {
					t.Errorf("sent %d bytes, got %d back, or others", len(sent), len(data))
				}
				ip, _, _ := net.SplitHostPort(string(seen))
				if test.seen == own && string(seen) != c.LocalAddr().String() || test.seen != own && ip != test.seen {
					t.Errorf("client %s is seen as %s, want %s", c.LocalAddr(), seen, test.seen)
				}
			}
		})
	}
}

// A client may use one port of its own for two of ours, and use it again at once.
func TestTCPClientPortTwice(t *testing.T) {
	one, _ := publishAt(t, "tcp", 80)
	two, _ := publishAt(t, "tcp", 81)
	go echo(lab.box.listen(t, "tcp4", "0.0.0.0:80"))
	go echo(lab.box.listen(t, "tcp4", "0.0.0.0:81"))
	const client = "198.51.100.7:30100"
	for round := range 3 {
		for _, port := range []string{one, two} {
			c := lab.far.dial(t, "tcp", client, "198.51.100.1:"+port)
			seen := make([]byte, len(client))
			if _, err := io.ReadFull(c, seen); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if round == 0 && string(seen) != client {
				t.Errorf("seen as %s, want %s", seen, client)
			}
			if string(seen[:12]) != client[:12] {
				t.Errorf("round %d: seen as %s", round, seen)
			}
			defer c.Close()
			if round < 2 {
				reset(c) // no TIME_WAIT at the client
			}
		}
	}
}

func TestTCPHalfClose(t *testing.T) {
	port, _ := publishAt(t, "tcp", 80)
	l := lab.box.listen(t, "tcp4", "0.0.0.0:80")
	request, answer := random(1_000_000), random(3_000_000)
	for _, first := range []string{"client", "server"} {
		t.Run(first, func(t *testing.T) {
			client := lab.far.dial(t, "tcp", "", "198.51.100.1:"+port).(*net.TCPConn)
			server := accept(t, l)
			a, b := client, server
			if first == "server" {
				a, b = server, client
			}
			go func() {
				a.Write(request)
				a.CloseWrite()
			}()
			got, err := io.ReadAll(b)
			if err != nil || !bytes.Equal(got, request) {
				t.Fatalf("%d bytes, error %v: want %d bytes", len(got), err, len(request))
			}
			go func() {
				b.Write(answer)
				b.Close()
			}()
			got, err = io.ReadAll(a)
			if err != nil || !bytes.Equal(got, answer) {
				t.Fatalf("after the half-close: %d bytes, error %v: want %d bytes", len(got), err, len(answer))
			}
		})
	}
}

func TestTCPReset(t *testing.T) {
	port, s := publishAt(t, "tcp", 80)
	l := lab.box.listen(t, "tcp4", "0.0.0.0:80")
	read := func(t *testing.T, c net.Conn) {
		t.Helper()
		if n, err := c.Read(make([]byte, 10)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("read %d, %v: want a reset", n, err)
		}
	}
	t.Run("by client", func(t *testing.T) {
		client := lab.far.dial(t, "tcp", "", "198.51.100.1:"+port)
		server := accept(t, l)
		reset(client)
		read(t, server)
	})
	t.Run("by server", func(t *testing.T) {
		client := lab.far.dial(t, "tcp", "", "198.51.100.1:"+port)
		reset(accept(t, l))
		read(t, client)
	})
	t.Run("by client after its FIN", func(t *testing.T) {
		client := lab.far.dial(t, "tcp", "", "198.51.100.1:"+port).(*net.TCPConn)
		server := accept(t, l)
		client.CloseWrite()
		if n, err := server.Read(make([]byte, 10)); err != io.EOF {
			t.Fatalf("read %d, %v: want EOF", n, err)
		}
		reset(client)
		raw, _ := server.SyscallConn()
		raw.Read(func(fd uintptr) bool { return polled(int(fd), 0) }) // until an error or hang-up
		var errno int
		raw.Control(func(fd uintptr) { errno, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) })
		if unix.Errno(errno) != unix.EPIPE && unix.Errno(errno) != unix.ECONNRESET {
			t.Errorf("SO_ERROR is %v: want a reset", unix.Errno(errno))
		}
	})
	eventually(t, "no connection is left", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.conns == 0 && len(s.open) == 2 })
}

func TestTCPRefused(t *testing.T) {
	port, _ := publishAt(t, "tcp", 83)
	for _, addr := range []string{"198.51.100.1:", "[2001:db8::1]:"} {
		isReset(t, addr+port)
	}
}

// isReset connects and wants to be reset, which may have happened by the time that
// connect(2) returns.
func isReset(t *testing.T, addr string) {
	t.Helper()
	c, err := lab.far.tryDial("tcp", "", addr)
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 10))
	}
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%s: %v: want a reset", addr, err)
	}
}

// A server that listens on IPv4 only serves an IPv6 client, too, and sees the gateway.
func TestTCPOtherFamily(t *testing.T) {
	port, _ := publishAt(t, "tcp", 80)
	go echo(lab.box.listen(t, "tcp4", "0.0.0.0:80"))
	c := lab.far.dial(t, "tcp", "", "[2001:db8::1]:"+port)
	seen := make([]byte, len("10.0.2.2:"))
	if _, err := io.ReadFull(c, seen); err != nil || string(seen) != "10.0.2.2:" {
		t.Errorf("seen as %s, %v: want the gateway", seen, err)
	}
}

func TestTCPTooMany(t *testing.T) {
	port, s := publishAt(t, "tcp", 80)
	s.mu.Lock()
	s.max = 2
	s.mu.Unlock()
	l := lab.box.listen(t, "tcp4", "0.0.0.0:80")
	var kept []net.Conn
	for range 2 {
		kept = append(kept, lab.far.dial(t, "tcp", "", "198.51.100.1:"+port))
		accept(t, l)
	}
	isReset(t, "198.51.100.1:"+port) // the third
	reset(kept[0])
	eventually(t, "a place is free", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.conns == 1 })
	c := lab.far.dial(t, "tcp", "", "198.51.100.1:"+port)
	accept(t, l).Write([]byte("welcome"))
	if _, err := io.ReadFull(c, make([]byte, 7)); err != nil {
		t.Error(err)
	}
}

// Connections that wait have no pipe, and none is left in the end.
func TestTCPIdle(t *testing.T) {
	port, _ := publishAt(t, "tcp", 80)
	go echo(lab.box.listen(t, "tcp4", "0.0.0.0:80"))
	const many = 100
	before := files(t)
	var conns []net.Conn
	for range many {
		c := lab.far.dial(t, "tcp", "", "198.51.100.1:"+port)
		if _, err := io.ReadFull(c, make([]byte, 19)); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if n := files(t) - before; n > 4*many+2*maxPipes+2*ahead {
		t.Errorf("%d connections have %d descriptors: want four each", many, n)
	}
	for _, c := range conns {
		c.Close()
	}
	eventually(t, "they are closed", func() bool { return files(t) <= before+2*maxPipes+2*ahead })
}

func files(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// When there are no descriptors, clients wait until there are.
func TestTCPNoDescriptors(t *testing.T) {
	port, _ := publishAt(t, "tcp", 80)
	l := lab.box.listen(t, "tcp4", "0.0.0.0:80")
	n, _ := strconv.Atoi(port)
	client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(client)
	unix.SetsockoptTimeval(client, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20})

	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 3, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err = again(func() error { return unix.Connect(client, &unix.SockaddrInet4{Port: n, Addr: [4]byte{127, 0, 0, 1}}) })
	for range 50 { // of the accepting goroutine's turns
		unix.Nanosleep(&unix.Timespec{Nsec: 1e6}, nil)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	go echo(l)
	err = again(func() (err error) { n, err = unix.Read(client, make([]byte, 1)); return err })
	if n != 1 {
		t.Errorf("read %d, %v: want to be served at last", n, err)
	}
}

// Close leaves nothing, and waits for it.
func TestTCPClose(t *testing.T) {
	port, s := publishAt(t, "tcp", 80)
	l := lab.box.listen(t, "tcp4", "0.0.0.0:80")
	client := lab.far.dial(t, "tcp", "", "198.51.100.1:"+port)
	server := accept(t, l)
	s.Close()
	for _, c := range []net.Conn{client, server} {
		if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %d, %v: want an end", n, err)
		}
	}
	if c, err := lab.far.tryDial("tcp", "", "198.51.100.1:"+port); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("%v, %v: want to be refused", c, err)
	}
}

func accept(t *testing.T, l net.Listener) *net.TCPConn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b)
	return b
}
