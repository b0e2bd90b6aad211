package lan

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience ends what hangs; it measures nothing.
const patience = 20 * time.Second

// do is what a member can be told.
func (m *member) do(verb string, args []string) (string, error) {
	switch verb {
	case "ping":
		return ping(netip.MustParseAddr(args[0]))
	case "send":
		return send(args[0], args[1])
	case "serve": // one connection; received gives its digest
		return m.serve(args[0])
	case "received":
		s, _ := m.received.Load().(string)
		return s, nil
	case "segments":
		return strconv.FormatBool(m.segments.Load() > 0), nil
	case "members":
		var ips []string
		for _, p := range m.l.Members() {
			ips = append(ips, p.IP4.String())
		}
		return strings.Join(ips, " "), nil
	case "lookup":
		addrs, found := m.l.Lookup(args[0])
		return fmt.Sprint(addrs, found), nil
	case "reverse":
		name, found := m.l.Reverse(netip.MustParseAddr(args[0]))
		return fmt.Sprint(name, " ", found), nil
	case "datagrams": // what arrives at a UDP port until "end" does
		return datagrams(args[0])
	case "datagram":
		return datagram(args[0], args[1])
	case "forge":
		return forge(args[0], args[1], args[2], args[3])
	case "leave":
		return "ok", m.l.Close()
	case "descriptors":
		list, err := os.ReadDir("/proc/self/fd")
		return strconv.Itoa(len(list)), err
	}
	return "", errors.New("no such order: " + verb)
}

// ping sends ICMP echoes until one is answered.
func ping(to netip.Addr) (string, error) {
	network, request, reply := "ip4:icmp", byte(8), byte(0)
	if to.Is6() {
		network, request, reply = "ip6:ipv6-icmp", 128, 129
	}
	c, err := net.ListenIP(network, nil)
	if err != nil {
		return "", err
	}
	defer c.Close()
	msg := make([]byte, 8, 64)
	msg[0] = request
	binary.BigEndian.PutUint32(msg[4:], rand.Uint32())
	msg = append(msg, "are you there?"...)
	if to.Is4() { // of ICMPv6 the kernel makes it
		binary.BigEndian.PutUint16(msg[2:], sum(msg))
	}
	buf := make([]byte, 1500)
	for range 5 {
		if _, err := c.WriteToIP(msg, &net.IPAddr{IP: to.AsSlice()}); err != nil {
			return short(err), nil
		}
		c.SetReadDeadline(time.Now().Add(patience / 5))
		for {
			n, from, err := c.ReadFromIP(buf)
			if err != nil {
				break
			}
			if from.IP.String() == to.String() && buf[0] == reply && string(buf[4:n]) == string(msg[4:]) {
				return "pong", nil
			}
		}
	}
	return "silence", nil
}

// sum is the checksum of the internet (RFC 1071).
func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(b[i])<<8 | uint32(b[i+1])
	}
	return ^uint16(s + s>>16)
}

func short(err error) string {
	var e unix.Errno
	if errors.As(err, &e) {
		return unix.ErrnoName(e)
	}
	return err.Error()
}

// send sends random bytes over TCP and gives their digest.
func send(to, size string) (string, error) {
	c, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		return short(err), nil
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	n, err := strconv.ParseInt(size, 10, 64)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(h, c), io.LimitReader(rand.NewChaCha8([32]byte{}), n)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (m *member) serve(at string) (string, error) {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return "", err
	}
	go func() {
		defer l.Close()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(patience))
		h := sha256.New()
		if _, err := io.Copy(h, c); err != nil {
			m.received.Store(err.Error())
			return
		}
		m.received.Store(hex.EncodeToString(h.Sum(nil)))
	}()
	return "ok", nil
}

func datagrams(at string) (string, error) {
	c, err := net.ListenPacket("udp", at)
	if err != nil {
		return "", err
	}
	defer c.Close()
	fmt.Println("listening")
	c.SetReadDeadline(time.Now().Add(patience))
	var all []string
	buf := make([]byte, 100)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return "", err
		}
		if string(buf[:n]) == "end" {
			return strings.Join(all, " "), nil
		}
		all = append(all, string(buf[:n]))
	}
}

func datagram(to, text string) (string, error) {
	c, err := net.Dial("udp", to)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_, err = c.Write([]byte(text))
	return "ok", err
}

// forge sends a UDP datagram as a frame of its own making, through a packet
// socket, to port 5000 of the member dst.
func forge(srcMAC, srcIP, dst, text string) (string, error) {
	mac, err := net.ParseMAC(srcMAC)
	if err != nil {
		return "", err
	}
	src, to := netip.MustParseAddr(srcIP).As4(), netip.MustParseAddr(dst).As4()
	f := append([]byte{2, 0x42}, to[:]...)
	f = append(append(f, mac...), 8, 0)
	ip := make([]byte, 20)
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(text)))
	copy(ip[12:], src[:])
	copy(ip[16:], to[:])
	binary.BigEndian.PutUint16(ip[10:], sum(ip))
	udp := make([]byte, 8)
	binary.BigEndian.PutUint16(udp, 4000)
	binary.BigEndian.PutUint16(udp[2:], 5000)
	binary.BigEndian.PutUint16(udp[4:], uint16(8+len(text)))
	f = append(append(append(f, ip...), udp...), text...)

	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		return "", err
	}
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(s)
	return "ok", unix.Sendto(s, f, 0, &unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: eth0.Index})
}
