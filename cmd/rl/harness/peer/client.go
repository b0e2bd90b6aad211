package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// connect asks for one retry of a SYN: who is never answered knows after
// seconds, by the kernel's own ETIMEDOUT.
func connect(network, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: patience, Control: func(network, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			if strings.HasPrefix(network, "tcp") {
				failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_SYNCNT, 1)
			}
		})
		return errors.Join(err, failed)
	}}
	c, err := d.DialContext(context.Background(), network, addr)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(patience))
}

func dial(network, addr string) error {
	c, err := connect(network, addr)
	if err != nil {
		return err
	}
	fmt.Printf("connected %s to %s\n", c.LocalAddr(), c.RemoteAddr())
	return c.Close()
}

func ask(network, addr, text string) error {
	c, err := connect(network, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, text+"\n"); err != nil {
		return err
	}
	if t, ok := c.(*net.TCPConn); ok {
		if err := t.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) { // reset already: reading tells
			return err
		}
		_, err := io.Copy(os.Stdout, c)
		return err
	}
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(buf[:n])
	return err
}

func late(network, addr, text string) error {
	c, err := connect(network, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.Copy(os.Stdout, c); err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond) // somebody in between may take the half for the whole
	_, err = io.WriteString(c, text)
	return err
}

func rst(addr string) error {
	c, err := connect("tcp", addr)
	if err != nil {
		return err
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	// The byte is there first: what is not yet delivered may go with a reset.
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	fmt.Println("reset")
	return c.Close()
}

// transfer moves so many bytes and compares what both ends made of them.
func transfer(verb, addr, bytes string) error {
	n, err := strconv.ParseInt(bytes, 10, 64)
	if err != nil {
		return err
	}
	c, err := connect("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(4 * patience))
	var got, want string
	switch verb {
	case "push":
		if _, err := io.CopyN(c, stream(), n); err != nil {
			return err
		}
		if err := c.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		if got, err = bufio.NewReader(c).ReadString('\n'); err != nil {
			return err
		}
		got = strings.TrimSpace(got)
	case "pull":
		if _, err := fmt.Fprintln(c, n); err != nil {
			return err
		}
		if got, err = sum(c); err != nil {
			return err
		}
	case "both": // an echo server
		sent := make(chan error, 1)
		go func() {
			_, err := io.CopyN(c, stream(), n)
			sent <- errors.Join(err, c.(*net.TCPConn).CloseWrite())
		}()
		if got, err = sum(c); err != nil {
			return err
		}
		if err := <-sent; err != nil {
			return err
		}
	}
	if want, err = sum(io.LimitReader(stream(), n)); err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("%s, not %s", got, want)
	}
	fmt.Println("intact", n)
	return nil
}

func hold(addr, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	var held []net.Conn
	for i := range n {
		c, err := connect("tcp", addr)
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
		defer c.Close()
		held = append(held, c)
	}
	for i, c := range held {
		line := fmt.Sprintf("%d\n", i)
		if _, err := io.WriteString(c, line); err != nil {
			return err
		}
		if got, err := bufio.NewReader(c).ReadString('\n'); err != nil || got != line {
			return fmt.Errorf("connection %d: %q, %w", i, got, err)
		}
	}
	fmt.Println("held", n)
	return nil
}

func look(names []string) error {
	r := net.Resolver{PreferGo: true}
	for _, name := range names {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		addrs, err := r.LookupHost(ctx, name)
		cancel()
		if err != nil {
			return err
		}
		slices.Sort(addrs)
		fmt.Println(strings.Join(addrs, " "))
	}
	return nil
}
