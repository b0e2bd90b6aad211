package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// loadMain is this program inside a container, where it is mounted as /bench: it
// makes the load, measures it itself, so that a container's start is not in the
// figure, and prints one number. The word GATEWAY in an argument stands for the
// container's own default gateway.
//
//	bench -load rtt ADDRESS        round trips of one byte for a second: the median, in seconds
//	bench -load http ADDRESS       seconds for 1,000 requests in turn, a connection each
//	bench -load udp-send ADDRESS   datagrams for a second; who receives counts
//	bench -load udp-recv ADDRESS   asks for datagrams for a second: how many came, a second
//	bench -load exec PROGRAM…      another program, once GATEWAY is known
//	bench -load tree DIR           the file system steps, see tree.go
func loadMain(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: bench -load VERB ADDRESS")
	}
	for i, a := range args {
		if !strings.Contains(a, "GATEWAY") {
			continue
		}
		table, err := os.ReadFile("/proc/net/route")
		if err != nil {
			return err
		}
		gateway, err := defaultGateway(string(table))
		if err != nil {
			return err
		}
		args[i] = strings.ReplaceAll(a, "GATEWAY", gateway.String())
	}
	var value float64
	var err error
	switch address := args[1]; args[0] {
	case "rtt":
		value, err = roundTrips(address)
	case "http":
		value, err = shortRequests(address)
	case "udp-send":
		return sendDatagrams(address)
	case "udp-recv":
		value, err = askDatagrams(address)
	case "tree":
		result, err := treeLoad(address)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(result)
	case "exec":
		program, err := exec.LookPath(args[1])
		if err != nil {
			return err
		}
		return syscall.Exec(program, args[1:], os.Environ())
	default:
		return fmt.Errorf("no load is called %q", args[0])
	}
	if err != nil {
		return err
	}
	_, err = fmt.Println(value)
	return err
}

// defaultGateway reads /proc/net/route, where addresses are native words in hex.
func defaultGateway(table string) (netip.Addr, error) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
			continue
		}
		var word uint32
		if _, err := fmt.Sscanf(f[2], "%X", &word); err != nil {
			return netip.Addr{}, fmt.Errorf("/proc/net/route says %q", line)
		}
		return netip.AddrFrom4([4]byte(binary.NativeEndian.AppendUint32(nil, word))), nil
	}
	return netip.Addr{}, errors.New("there is no default gateway")
}

const (
	loadTime  = time.Second
	loadLimit = 30 * time.Second // for what is counted, not timed
	requests  = 1000
	datagram  = 64 // bytes
)

// roundTrips is a byte there and back, one at a time.
func roundTrips(address string) (float64, error) {
	c, err := net.DialTimeout("tcp", address, loadLimit)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(loadLimit)); err != nil {
		return 0, err
	}
	var took []float64
	b := []byte{1}
	for begun := time.Now(); time.Since(begun) < loadTime; {
		start := time.Now()
		if _, err := c.Write(b); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return 0, err
		}
		took = append(took, time.Since(start).Seconds())
	}
	return median(took[len(took)/10:]), nil // what comes first is cold
}

// shortRequests asks in turn, as a shell loop of curl would.
func shortRequests(address string) (float64, error) {
	client := http.Client{Timeout: loadLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	start := time.Now()
	for range requests {
		answer, err := client.Get("http://" + address + "/")
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return 0, err
		}
	}
	return time.Since(start).Seconds(), nil
}

func sendDatagrams(address string) error {
	c, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	return blast(func(b []byte) error { _, err := c.Write(b); return err })
}

// blast sends as fast as one thread can. A full queue on the way is no error:
// it is what is measured, at the other end.
func blast(send func([]byte) error) error {
	b := bytes.Repeat([]byte{'.'}, datagram)
	for begun := time.Now(); time.Since(begun) < loadTime; {
		for range 32 {
			if err := send(b); err != nil && !errors.Is(err, syscall.ENOBUFS) && !errors.Is(err, syscall.EAGAIN) {
				return err
			}
		}
	}
	return nil
}

// askDatagrams says hello until the first comes.
func askDatagrams(address string) (float64, error) {
	c, err := net.Dial("udp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var n counter
	b := make([]byte, 2*datagram)
	for begun := time.Now(); time.Since(begun) < 2*loadTime; {
		if n.packets == 0 {
			if _, err := c.Write([]byte("hello")); err != nil {
				return 0, err
			}
		}
		if err := c.SetReadDeadline(time.Now().Add(loadTime / 4)); err != nil {
			return 0, err
		}
		for {
			if _, err := c.Read(b); errors.Is(err, os.ErrDeadlineExceeded) {
				break
			} else if err != nil {
				return 0, err
			}
			n.one()
			if n.packets%1024 == 0 {
				if err := c.SetReadDeadline(time.Now().Add(loadTime / 4)); err != nil {
					return 0, err
				}
			}
		}
	}
	return n.rate()
}

// counter counts datagrams where they arrive, from the first to the last.
type counter struct {
	packets     int
	first, last time.Time
}

func (n *counter) one() {
	if n.last = time.Now(); n.packets == 0 {
		n.first = n.last
	}
	n.packets++
}

func (n *counter) rate() (float64, error) {
	if n.packets < 2 {
		return 0, errors.New("no datagrams came")
	}
	return float64(n.packets-1) / n.last.Sub(n.first).Seconds(), nil
}
