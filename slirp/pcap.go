package slirp

import (
	"bufio"
	"encoding/binary"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// capture writes frames to a file that tcpdump and wireshark read: the format of
// libpcap (draft-ietf-opsawg-pcap), microseconds, ethernet. What the kernels left
// undone shows: segments of 64 KB, and checksums that are not there.
type capture struct {
	mu   sync.Mutex
	file *os.File
	w    *bufio.Writer
	dead bool // the disk is full: the capture ends, the network goes on
	done chan struct{}
}

const snapLength = 1 << 18

func newCapture(path string) (*capture, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	c := &capture{file: f, w: bufio.NewWriterSize(f, 1<<16), done: make(chan struct{})}
	var h [24]byte
	binary.LittleEndian.PutUint32(h[0:], 0xa1b2c3d4)
	binary.LittleEndian.PutUint16(h[4:], 2)
	binary.LittleEndian.PutUint16(h[6:], 4)
	binary.LittleEndian.PutUint32(h[16:], snapLength)
	binary.LittleEndian.PutUint32(h[20:], 1)
	c.w.Write(h[:])
	go c.flushing()
	return c, nil
}

// frame adds one, given in pieces.
func (c *capture) frame(parts ...[]byte) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	t := time.Now()
	var h [16]byte
	binary.LittleEndian.PutUint32(h[0:], uint32(t.Unix()))
	binary.LittleEndian.PutUint32(h[4:], uint32(t.Nanosecond()/1000))
	binary.LittleEndian.PutUint32(h[8:], uint32(n))
	binary.LittleEndian.PutUint32(h[12:], uint32(n))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return
	}
	_, err := c.w.Write(h[:])
	for _, p := range parts {
		if err == nil {
			_, err = c.w.Write(p)
		}
	}
	c.dead = err != nil
}

// flushing has a reader see packets as they come.
func (c *capture) flushing() {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
			c.mu.Lock()
			if !c.dead {
				c.dead = c.w.Flush() != nil
			}
			c.mu.Unlock()
		}
	}
}

func (c *capture) close() error {
	close(c.done)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		c.w.Flush()
		c.dead = true
	}
	return c.file.Close()
}
