package peer

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Log gets one line for each thing that a server saw.
type Log func(format string, args ...any)

// Listen starts a server of some kind. Its sockets are made by the calling
// thread, in whatever network namespace that is.
//
//	whoami  tcp udp  says the client's address, and the server's
//	echo    tcp udp  sends back what comes
//	sum     tcp      reads to the end, and then says how much it was and its hash
//	source  tcp      reads a number, and sends so many bytes
//	mute    tcp udp  takes, and never answers
//	reset   tcp      reads a byte and resets the connection
//	half    tcp      says hello and ends its half; then reads on, for the log
//	http             GET / says the client's address and Host; /bytes/N sends N bytes
//	full    tcp      never accepts: its backlog fills
//	dns     tcp udp  a name server, see dns.go
func Listen(kind, addr string, log Log) (io.Closer, error) {
	s := &server{kind: kind, log: func(format string, args ...any) {
		log("%s %s: %s", kind, addr, fmt.Sprintf(format, args...))
	}}
	var tcp func(*net.TCPConn)
	var udp func(c *net.UDPConn)
	switch kind {
	case "whoami":
		tcp, udp = s.whoami, s.datagrams(func(b []byte, from string) []byte {
			s.log("udp from %s", from)
			return []byte("from " + from + "\n")
		})
	case "echo":
		tcp, udp = s.echo, s.datagrams(func(b []byte, from string) []byte { return b })
	case "mute":
		tcp, udp = s.mute, s.datagrams(func(b []byte, from string) []byte {
			s.log("udp from %s", from)
			return nil
		})
	case "sum":
		tcp = s.sum
	case "source":
		tcp = s.source
	case "reset":
		tcp = s.reset
	case "half":
		tcp = s.half
	case "dns":
		n := &nameserver{self: addr, log: s.log}
		tcp, udp = n.tcp, s.datagramsMany(n.udp)
	case "full":
		return s, s.full(addr)
	case "http":
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, err
		}
		s.open = append(s.open, l)
		go http.Serve(l, http.HandlerFunc(s.http))
		return s, nil
	default:
		return nil, fmt.Errorf("no server of the kind %q", kind)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s.open = append(s.open, l)
	go accept(l.(*net.TCPListener), tcp)
	if udp != nil {
		c, err := net.ListenPacket("udp", addr)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.open = append(s.open, c)
		go udp(c.(*net.UDPConn))
	}
	return s, nil
}

type server struct {
	kind string
	log  Log
	open []io.Closer
}

func (s *server) Close() (err error) {
	for _, c := range s.open {
		err = errors.Join(err, c.Close())
	}
	return err
}

func accept(l *net.TCPListener, f func(*net.TCPConn)) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go func() {
			defer c.Close()
			f(c)
		}()
	}
}

func (s *server) datagrams(f func(b []byte, from string) []byte) func(*net.UDPConn) {
	return s.datagramsMany(func(b []byte, from string, reply func([]byte)) {
		if out := f(b, from); out != nil {
			reply(out)
		}
	})
}

func (s *server) datagramsMany(f func(b []byte, from string, reply func([]byte))) func(*net.UDPConn) {
	return func(c *net.UDPConn) {
		buf, oob := make([]byte, 64<<10), make([]byte, 64)
		// An answer comes from the address that was asked, as the message beside the
		// datagram tells it; it can be sent back as it is. (IPv4 needs it not here.)
		if raw, err := c.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1) })
		}
		for {
			n, o, _, from, err := c.ReadMsgUDPAddrPort(buf, oob)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			b, where := bytes.Clone(buf[:n]), bytes.Clone(oob[:o])
			go f(b, plain(net.UDPAddrFromAddrPort(from)), func(out []byte) { c.WriteMsgUDPAddrPort(out, where, from) })
		}
	}
}

// plain writes an IPv4 address as one also when the socket is of both families.
func plain(a net.Addr) string { return strings.Replace(a.String(), "[::ffff:", "[", 1) }

func (s *server) whoami(c *net.TCPConn) {
	s.log("tcp from %s", plain(c.RemoteAddr()))
	fmt.Fprintf(c, "from %s to %s\n", plain(c.RemoteAddr()), plain(c.LocalAddr()))
	c.CloseWrite()
	io.Copy(io.Discard, c) // else what was sent to us would turn our end into a reset
}

func (s *server) echo(c *net.TCPConn) {
	n, err := io.Copy(c, c)
	s.log("%d bytes, %s", n, ending(err))
}

func (s *server) mute(c *net.TCPConn) {
	s.log("tcp from %s", plain(c.RemoteAddr()))
	n, err := io.Copy(io.Discard, c)
	s.log("%d bytes, %s", n, ending(err))
}

func (s *server) sum(c *net.TCPConn) {
	got, err := sum(c)
	s.log("%s", ending(err))
	fmt.Fprintln(c, got)
}

func (s *server) source(c *net.TCPConn) {
	line, err := bufio.NewReader(c).ReadString('\n')
	n, bad := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err = errors.Join(err, bad); err == nil {
		_, err = io.CopyN(c, stream(), n)
	}
	s.log("%s", ending(err))
}

func (s *server) reset(c *net.TCPConn) {
	c.Read(make([]byte, 1))
	c.SetLinger(0)
}

func (s *server) half(c *net.TCPConn) {
	io.WriteString(c, "hello\n")
	c.CloseWrite()
	b, err := io.ReadAll(c)
	s.log("%q, %s", b, ending(err))
}

// full listens with the smallest backlog and never accepts.
func (s *server) full(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	s.open = append(s.open, l)
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.Listen(int(fd), 0) })
	return errors.Join(err, failed)
}

func (s *server) http(w http.ResponseWriter, r *http.Request) {
	s.log("%s %s from %s", r.Method, r.URL.Path, r.RemoteAddr)
	if size, ok := strings.CutPrefix(r.URL.Path, "/bytes/"); ok {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil {
			http.Error(w, "how many bytes?", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", size)
		io.CopyN(w, stream(), n)
		return
	}
	fmt.Fprintf(w, "from %s host %s\n", r.RemoteAddr, r.Host)
}

func ending(err error) string {
	if err == nil {
		return "EOF"
	}
	return Errno(err)
}

// serve runs servers until it is killed.
func serve(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	ready := flags.String("ready", "", "make this `FILE` when all listen")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, spec := range flags.Args() {
		kind, addr, _ := strings.Cut(spec, "=")
		_, err := Listen(kind, addr, func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) })
		if err != nil {
			return err
		}
	}
	if *ready != "" {
		if err := os.WriteFile(*ready, nil, 0o644); err != nil {
			return err
		}
	}
	select {}
}
