package bus

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAddress(t *testing.T) {
	for in, want := range map[string][]string{
		"unix:path=/run/user/1000/bus":                       {"/run/user/1000/bus"},
		"unix:path=/run/user/1000/bus,guid=abc":              {"/run/user/1000/bus"},
		"unix:abstract=/tmp/dbus-x,guid=1;unix:path=/b%20us": {"@/tmp/dbus-x", "/b us"},
		"tcp:host=localhost,port=1":                          nil, "": nil, "unix:path=": nil, "unix:path=%zz": nil, "unixexec:path=/bin/sh": nil,
	} {
		if got := Address(in); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// A call is a message by the specification's rules: what is written is read back, value by
// value.
func TestCall(t *testing.T) {
	body := new(Body).String("a.scope").String("fail").Properties([]Property{
		{"Delegate", true}, {"PIDs", []uint32{7, 8}}, {"Slice", "user.slice"}, {"TasksMax", ^uint64(0)},
	}).NoUnits()
	if body.sig != "ssa(sv)a(sa(sv))" {
		t.Errorf("signature %s", body.sig)
	}
	m, err := parse(call(9, "d.d", "/p", "i.i", "Member", body))
	if err != nil {
		t.Fatal(err)
	}
	if m.kind != typeCall || m.Member != "Member" || m.sig != body.sig || !reflect.DeepEqual(m.body, body.b) {
		t.Errorf("%+v", m)
	}
	r := reader{b: m.body, order: m.order}
	if a, b := r.str(), r.str(); a != "a.scope" || b != "fail" {
		t.Error(a, b)
	}
	length := r.u32()
	r.align(8)
	end := r.at + int(length)
	var names []string
	for r.at < end {
		r.align(8)
		names = append(names, r.str()+":"+r.signature())
		switch names[len(names)-1] {
		case "Delegate:b":
			if r.u32() != 1 {
				t.Error("true is not 1")
			}
		case "PIDs:au":
			if n, a, b := r.u32(), r.u32(), r.u32(); n != 8 || a != 7 || b != 8 {
				t.Error(n, a, b)
			}
		case "Slice:s":
			r.str()
		case "TasksMax:t":
			r.align(8)
			r.take(8)
		}
	}
	if want := []string{"Delegate:b", "PIDs:au", "Slice:s", "TasksMax:t"}; !slices.Equal(names, want) || r.bad {
		t.Errorf("%q, want %q", names, want)
	}
	if n := r.u32(); n != 0 { // the empty list's length; its padding follows
		t.Error(n)
	}
}

func TestParseRefusesDamage(t *testing.T) {
	good := call(1, "d", "/p", "i", "M", new(Body).String("x"))
	for n := range len(good) {
		if _, err := parse(good[:n]); err == nil {
			t.Fatalf("%d of %d bytes were taken for a message", n, len(good))
		}
	}
}

// Whatever comes over the socket, reading it ends, within its bounds.
func FuzzParse(f *testing.F) {
	f.Add(call(1, "d", "/p", "i", "M", new(Body).String("x")))
	f.Add(message('l', typeSignal, 0, 0, "JobRemoved", "", "uoss", signal(3, "/job/3", "a.scope", "done")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 16 {
			if n, err := size(b[:16]); err == nil && (n < 16 || n > 2*maxMessage+32) {
				t.Errorf("a message of %d bytes", n)
			}
		}
		m, err := parse(b)
		if err != nil {
			return
		}
		for _, s := range m.Strings() {
			if len(s) > len(b) {
				t.Error("a string longer than its message")
			}
		}
		m.Number()
	})
}

// message is one of the bus's own.
func message(order byte, kind byte, reply, serial uint32, member, failure, sig string, body []byte) []byte {
	m := Body{b: []byte{order, kind, 0, 1}}
	m.u32(uint32(len(body)))
	m.u32(serial + 1)
	m.array(func() {
		if reply != 0 {
			m.align(8)
			m.b = append(m.b, fieldReplySerial)
			m.signature("u")
			m.u32(reply)
		}
		for code, s := range map[byte]string{fieldMember: member, fieldErrorName: failure} {
			if s != "" {
				m.align(8)
				m.b = append(m.b, code)
				m.signature("s")
				m.str(s)
			}
		}
		m.align(8)
		m.b = append(m.b, fieldSignature)
		m.signature("g")
		m.signature(sig)
	})
	m.align(8)
	return append(m.b, body...)
}

func signal(id uint32, job, unit, result string) []byte {
	var b Body
	b.u32(id)
	b.str(job)
	b.str(unit)
	b.str(result)
	return b.b
}

func text(s string) []byte { var b Body; b.str(s); return b.b }

// server is a bus with a service manager on it. answer gives the messages that follow a
// call.
func server(t *testing.T, answer func(member string, serial uint32, call *Message) [][]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			s, err := l.Accept()
			if err != nil {
				return
			}
			go serve(s, answer)
		}
	}()
	return path
}

func serve(s net.Conn, answer func(string, uint32, *Message) [][]byte) {
	defer s.Close()
	r := bufio.NewReader(s)
	for _, line := range []string{"\x00AUTH EXTERNAL\r\n", "DATA\r\n", "BEGIN\r\n"} {
		if got, err := r.ReadString('\n'); err != nil || got != line {
			fmt.Fprintf(s, "REJECTED EXTERNAL\r\n")
			return
		}
	}
	fmt.Fprintf(s, "DATA\r\nOK 1234\r\n")
	for {
		head, err := r.Peek(16)
		if err != nil {
			return
		}
		n, err := size(head)
		if err != nil {
			return
		}
		buf := make([]byte, n)
		if _, err := io.ReadFull(r, buf); err != nil {
			return
		}
		m, err := parse(buf)
		if err != nil {
			return
		}
		serial := binary.LittleEndian.Uint32(buf[8:])
		switch m.Member {
		case "Hello":
			s.Write(message('l', typeReply, serial, 0, "", "", "s", text(":1.7")))
		case "GetConnectionUnixProcessID":
			if list := answer(m.Member, serial, m); list != nil {
				s.Write(list[0])
				continue
			}
			var b Body
			b.u32(uint32(os.Getpid()))
			s.Write(message('l', typeReply, serial, 0, "", "", "u", b.b))
		default:
			for _, one := range answer(m.Member, serial, m) {
				s.Write(one)
			}
		}
	}
}

func dial(t *testing.T, path string) (*Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c, err := Dial(ctx, path)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// A call, its answer, and a signal that came before the answer did.
func TestConversation(t *testing.T) {
	path := server(t, func(member string, serial uint32, m *Message) [][]byte {
		switch member {
		case "GetConnectionUnixProcessID":
			return nil
		case "AddMatch":
			return [][]byte{message('l', typeReply, serial, 0, "", "", "", nil)}
		case "Start":
			return [][]byte{
				message('l', typeSignal, 0, 0, "NameAcquired", "", "s", text(":1.7")),
				message('l', typeSignal, 0, 0, "JobRemoved", "", "uoss", signal(3, "/job/3", "b.scope", "failed")),
				message('l', typeSignal, 0, 0, "JobRemoved", "", "uoss", signal(4, "/job/4", "a.scope", "done")),
				message('l', typeReply, serial, 0, "", "", "o", text("/job/4")),
			}
		}
		return [][]byte{message('l', typeError, serial, 0, "", "org.x.No", "s", text("no such method"))}
	})
	c, err := dial(t, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Subscribe("type='signal'"); err != nil {
		t.Fatal(err)
	}
	m, err := c.Call("d", "/p", "i", "Start", new(Body).String("a.scope"))
	if err != nil || !slices.Equal(m.Strings(), []string{"/job/4"}) {
		t.Fatal(m, err)
	}
	var result string
	err = c.Signal("JobRemoved", func(args []string) bool {
		if args[0] == "/job/4" {
			result = args[2]
		}
		return result != ""
	})
	if err != nil || result != "done" {
		t.Error(result, err)
	}
	var refused *Error
	if _, err := c.Call("d", "/p", "i", "Else", nil); !errors.As(err, &refused) || refused.Name != "org.x.No" || refused.Error() != "no such method" {
		t.Errorf("%v", err)
	}
}

// A bus of another pid namespace would have the manager move somebody else.
func TestOtherPidNamespace(t *testing.T) {
	path := server(t, func(member string, serial uint32, m *Message) [][]byte {
		var b Body
		b.u32(1)
		return [][]byte{message('l', typeReply, serial, 0, "", "", "u", b.b)}
	})
	if _, err := dial(t, path); err == nil || !strings.Contains(err.Error(), "another pid namespace") {
		t.Errorf("%v", err)
	}
}

// A bus that is silent does not hold the start up for ever, nor does one that talks nonsense.
func TestBrokenBus(t *testing.T) {
	for name, say := range map[string]string{
		"silent": "", "rejects": "REJECTED EXTERNAL\r\n", "nonsense": "OK 1\r\n" + strings.Repeat("x", 100), "endless": "OK 1\r\nl\x02\x00\x01\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "bus"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				if s, err := l.Accept(); err == nil {
					io.WriteString(s, say)
					io.Copy(io.Discard, s)
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if c, err := Dial(ctx, l.Addr().String()); err == nil {
				c.Close()
				t.Error("it was taken for a bus")
			}
		})
	}
}
