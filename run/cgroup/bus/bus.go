// Package bus speaks as much D-Bus as asking a service manager for a unit takes.
//
//	rl                                             bus                systemd --user
//	 │ \0AUTH EXTERNAL, DATA, BEGIN ──────────────▶ │
//	 │ ◀──────────────────────────── DATA, OK guid  │
//	 │ Hello, whose process, AddMatch ────────────▶ │
//	 │ StartTransientUnit ────────────────────────────────────────────▶ │
//	 │ ◀──────────────────────────────────────────────────── its job ── │
//	 │ ◀─────────────────────────────── signal JobRemoved: job, result  │
//
// The credentials are the socket's (EXTERNAL without a name), so that it also works
// from a user namespace, where a process does not know its own number. Process ids are
// the bus's: a caller in another pid namespace, who would have the manager move
// somebody else's processes, is refused.
//
// It is written here because a D-Bus library brings reflection, an exporter of
// objects and a tenth of a millisecond to every start of the program, for three calls.
package bus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// Conn is a connection to a bus.
type Conn struct {
	s      net.Conn
	r      *bufio.Reader
	serial uint32
	early  []*Message // signals that came while an answer was waited for
}

// Address reads what DBUS_SESSION_BUS_ADDRESS holds: the sockets that it names, an
// abstract one with "@" before it.
func Address(text string) (sockets []string) {
	for one := range strings.SplitSeq(text, ";") {
		rest, ok := strings.CutPrefix(one, "unix:")
		if !ok {
			continue
		}
		for pair := range strings.SplitSeq(rest, ",") {
			key, value, _ := strings.Cut(pair, "=")
			value, err := url.PathUnescape(value)
			switch {
			case err != nil || value == "":
			case key == "path":
				sockets = append(sockets, value)
			case key == "abstract":
				sockets = append(sockets, "@"+value)
			}
		}
	}
	return sockets
}

// Dial connects to the bus at a socket. The context's deadline holds for all that is
// done with the connection.
func Dial(ctx context.Context, socket string) (*Conn, error) {
	var d net.Dialer
	s, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	if t, ok := ctx.Deadline(); ok {
		s.SetDeadline(t)
	}
	c := &Conn{s: s, r: bufio.NewReader(s)}
	if err := c.begin(); err != nil {
		s.Close()
		return nil, fmt.Errorf("bus at %s: %w", socket, err)
	}
	return c, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.s.Close() }

// begin authenticates and says hello.
func (c *Conn) begin() error {
	if _, err := io.WriteString(c.s, "\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return fmt.Errorf("authenticate: %w", err)
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "DATA":
			continue
		case "OK":
		default:
			return fmt.Errorf("it refuses us: %s %s", word, rest)
		}
		break
	}
	hello, err := c.Call(busName, busPath, busName, "Hello", nil)
	if err != nil {
		return err
	}
	name := hello.Strings()
	if len(name) != 1 {
		return errMalformed
	}
	pid, err := c.Call(busName, busPath, busName, "GetConnectionUnixProcessID", new(Body).String(name[0]))
	if err != nil {
		return err
	}
	if n, ok := pid.Number(); !ok || int(n) != os.Getpid() {
		return errors.New("it is in another pid namespace")
	}
	return nil
}

const (
	busName = "org.freedesktop.DBus"
	busPath = "/org/freedesktop/DBus"
)

// Subscribe asks for the signals that a rule matches.
func (c *Conn) Subscribe(rule string) error {
	_, err := c.Call(busName, busPath, busName, "AddMatch", new(Body).String(rule))
	return err
}

// Error is a service's.
type Error struct{ Name, Text string }

func (e *Error) Error() string {
	if e.Text == "" {
		return e.Name
	}
	return e.Text
}

// Call calls a method and waits for its answer.
func (c *Conn) Call(dest, path, iface, member string, body *Body) (*Message, error) {
	c.serial++
	serial := c.serial
	if _, err := c.s.Write(call(serial, dest, path, iface, member, body)); err != nil {
		return nil, err
	}
	for {
		m, err := c.next()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", member, err)
		}
		if m.kind == typeSignal {
			c.early = append(c.early, m)
		}
		if m.serial != serial {
			continue
		}
		switch m.kind {
		case typeReply:
			return m, nil
		case typeError:
			e := &Error{Name: m.ErrorName}
			if s := m.Strings(); len(s) > 0 {
				e.Text = s[0]
			}
			return nil, e
		}
	}
}

// Signal waits for a signal that ok accepts.
func (c *Conn) Signal(member string, ok func(args []string) bool) error {
	for {
		var m *Message
		if len(c.early) > 0 {
			m, c.early = c.early[0], c.early[1:]
		} else {
			var err error
			if m, err = c.next(); err != nil {
				return fmt.Errorf("wait for %s: %w", member, err)
			}
		}
		if m.kind == typeSignal && m.Member == member && ok(m.Strings()) {
			return nil
		}
	}
}

func (c *Conn) next() (*Message, error) {
	head, err := c.r.Peek(16)
	if err != nil {
		return nil, timeout(err)
	}
	n, err := size(head)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(c.r, buf); err != nil {
		return nil, timeout(err)
	}
	return parse(buf)
}

func timeout(err error) error {
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return errors.New("no answer in time")
	}
	return err
}

// Patience is how long a service manager may take.
const Patience = 25 * time.Second // D-Bus's own
