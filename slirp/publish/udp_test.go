package publish

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// echoPackets answers each datagram with the client's address and what it sent.
func echoPackets(c *net.UDPConn) {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		c.WriteToUDPAddrPort(fmt.Appendf(nil, "%s\n%s", netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), buf[:n]), from)
	}
}

// ask sends a datagram and gives whom the container saw, and what came back.
func ask(t *testing.T, c net.Conn, data []byte) (seen string, back []byte) {
	t.Helper()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, maxDatagram)
	n, err := c.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	who, back, _ := bytes.Cut(buf[:n], []byte("\n"))
	return string(who), back
}

func TestUDPClientAddress(t *testing.T) {
	port, s := publishAt(t, "udp", 53)
	go echoPackets(lab.box.packets(t, "udp4", "0.0.0.0:53"))
	go echoPackets(lab.box.packets(t, "udp6", "[::]:53"))
	const own = "own"
	for _, test := range []struct {
		where      *space
		addr, seen string
	}{
		{lab.far, "198.51.100.1", own},
		{lab.far, "198.51.100.2", own}, // answers from there, or a connected socket would not get it
		{lab.far, "2001:db8::1", own},
		{host, "198.51.100.2", own},
		{host, "2001:db8::1", own},
		{host, "127.0.0.1", "10.0.2.2"},
		{host, "127.0.0.9", "10.0.2.2"},
		{host, "::1", "10.0.2.2"},
	} {
		t.Run(test.addr, func(t *testing.T) {
			c := test.where.dial(t, "udp", "", net.JoinHostPort(test.addr, port))
			for _, size := range []int{0, 1, 1400, 60_000} {
				sent := random(size)
				seen, back := ask(t, c, sent)
				if !bytes.Equal(back, sent) {
					t.Errorf("sent %d bytes, got %d back, or others", len(sent), len(back))
				}
				ip, _, _ := net.SplitHostPort(seen)
				if test.seen == own && seen != c.LocalAddr().String() || test.seen != own && ip != test.seen {
					t.Errorf("client %s is seen as %s, want %s", c.LocalAddr(), seen, test.seen)
				}
			}
		})
	}
	s.flows.mu.Lock()
	defer s.flows.mu.Unlock()
	if n := len(s.flows.table); n != 8 {
		t.Errorf("%d flows, want one a client", n)
	}
}

// A client that sends from one port to two addresses of the host gets each answer from
// where it asked.
func TestUDPTwoDoors(t *testing.T) {
	port, _ := publishAt(t, "udp", 53)
	go echoPackets(lab.box.packets(t, "udp4", "0.0.0.0:53"))
	const client = "198.51.100.7:30200"
	one := lab.far.dial(t, "udp", client, "198.51.100.1:"+port)
	two := lab.far.dial(t, "udp", client, "198.51.100.2:"+port)
	for range 3 {
		if seen, back := ask(t, one, []byte("one")); seen != client || string(back) != "one" {
			t.Errorf("%s %q", seen, back)
		}
		if seen, back := ask(t, two, []byte("two")); seen[:12] != client[:12] || string(back) != "two" {
			t.Errorf("%s %q", seen, back)
		}
	}
}

// A server on IPv4 only is found by an IPv6 client that tries again.
func TestUDPOtherFamily(t *testing.T) {
	port, _ := publishAt(t, "udp", 53)
	go echoPackets(lab.box.packets(t, "udp4", "0.0.0.0:53"))
	c := lab.far.dial(t, "udp", "", "[2001:db8::1]:"+port)
	buf := make([]byte, 100)
	for try := range 50 {
		c.Write([]byte("hello"))
		c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := c.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) && try < 49 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(buf[:n], []byte("10.0.2.2:")) {
			t.Errorf("seen as %q, want the gateway", buf[:n])
		}
		return
	}
}

// What the container sends of itself from a published port leaves by the tap, but to
// those who are clients.
func TestUDPOwnTraffic(t *testing.T) {
	port, _ := publishAt(t, "udp", 53)
	box := lab.box.packets(t, "udp4", "0.0.0.0:53")
	c := lab.far.dial(t, "udp", "198.51.100.7:30300", "198.51.100.1:"+port)
	c.Write([]byte("hello"))
	buf := make([]byte, 100)
	_, from, err := box.ReadFromUDPAddrPort(buf)
	if err != nil {
		t.Fatal(err)
	}
	const mine = "of its own account"
	if _, err := box.WriteToUDPAddrPort([]byte(mine), netip.MustParseAddrPort("198.51.100.8:53")); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, 70_000)
	lab.tap.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		n, err := lab.tap.Read(frame)
		if err != nil {
			t.Fatal("waiting for it at the tap: ", err)
		}
		if bytes.Contains(frame[:n], []byte(mine)) {
			break
		}
	}
	box.WriteToUDPAddrPort([]byte("answer"), from)
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// The kernel gives the routes back with the flows.
func TestUDPExpiry(t *testing.T) {
	port, s := publishAt(t, "udp", 53)
	s.flows.mu.Lock()
	s.flows.unanswered, s.flows.answered = 50*time.Millisecond, 60*time.Millisecond
	s.flows.mu.Unlock()
	go echoPackets(lab.box.packets(t, "udp4", "0.0.0.0:53"))
	before := files(t)
	c := lab.far.dial(t, "udp", "198.51.100.7:30400", "198.51.100.1:"+port)
	for range 3 {
		if seen, _ := ask(t, c, []byte("hello")); seen != "198.51.100.7:30400" {
			t.Errorf("seen as %s", seen)
		}
		eventually(t, "the flow is forgotten", func() bool {
			s.flows.mu.Lock()
			defer s.flows.mu.Unlock()
			return len(s.flows.table) == 0 && s.flows.sweep == nil
		})
	}
	eventually(t, "its socket is closed", func() bool { return files(t) <= before+1+ahead })
	lab.box.Do(func() error {
		out, _ := exec.Command("ip", "route", "show", "table", strconv.Itoa(tableUDP)).CombinedOutput()
		if bytes.Contains(out, []byte("198.51.100.7")) {
			t.Errorf("its route is left: %s", out)
		}
		return nil
	})
}

type fakeConn struct {
	net.Conn
	closed bool
}

func (c *fakeConn) Close() error { c.closed = true; return nil }

// A flow that never got an answer makes room first, and the one that was silent
// longest.
func TestFlowTable(t *testing.T) {
	var table flows
	table.init()
	table.max = 3
	defer table.close()
	all := map[int]*udpFlow{}
	add := func(n int) {
		all[n] = &udpFlow{key: clientKey{client: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(n))}, inner: &fakeConn{}}
		if err := table.add(all[n]); err != nil {
			t.Fatal(err)
		}
	}
	want := func(what string, gone ...int) {
		t.Helper()
		for n, f := range all {
			out := bytes.IndexByte([]byte(fmt.Sprint(gone)), byte('0'+n)) >= 0
			if f.inner.(*fakeConn).closed != out || (table.table[f.key] == nil) != out {
				t.Errorf("%s: flow %d is there: %v", what, n, out)
			}
		}
		if len(table.table) > table.max || table.queues[0].Len()+table.queues[1].Len() != len(table.table) {
			t.Errorf("%s: %d flows, %d and %d in the queues", what, len(table.table), table.queues[0].Len(), table.queues[1].Len())
		}
	}
	add(1)
	add(2)
	add(3)
	want("full")
	table.answer(all[1])
	add(4)
	want("1 was answered", 2)
	table.find(all[3].key)
	table.answer(all[4])
	add(5)
	want("3 is the only one without an answer", 2, 3)
	table.answer(all[5])
	table.find(all[1].key)
	add(6)
	want("of the answered ones 4 was silent longest", 2, 3, 4)
	table.remove(all[5])
	table.remove(all[5])
	want("removed twice", 2, 3, 4, 5)
	table.answer(all[5])
	want("an answer for one that is gone", 2, 3, 4, 5)
}
