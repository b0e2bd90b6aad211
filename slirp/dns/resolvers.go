package dns

import (
	"io"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxResolvers = 3       // as many as the C library asks
	maxConf      = 1 << 16 // bytes of resolv.conf that are read
	resolverPort = 53
)

// HostResolvers gives the name servers of a resolv.conf as it is at each call: it
// is read again when it has changed, which is looked at once a second. No such file, or
// none in it: no resolvers. An address may have a zone (fe80::1%eth0), and, which the C library
// does not know, a port (127.0.0.1:5353, [::1]:5353).
func HostResolvers(path string) func() []netip.AddrPort {
	c := &conf{path: path}
	return func() []netip.AddrPort { return c.resolvers(time.Now()) }
}

type conf struct {
	path string

	mu     sync.Mutex
	looked time.Time // zero: never
	seen   identity
	list   []netip.AddrPort // replaced, never changed
}

// identity changes when a file's contents do. The zero one is no file's.
type identity struct {
	dev, inode   uint64
	size         int64
	mtime, ctime unix.Timespec
}

func (c *conf) resolvers(now time.Time) []netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	if since := now.Sub(c.looked); !c.looked.IsZero() && since >= 0 && since < time.Second {
		return c.list
	}
	c.looked = now
	var st unix.Stat_t
	if err := unix.Stat(c.path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		c.seen, c.list = identity{}, nil
		return nil
	}
	id := identity{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}
	if id == c.seen {
		return c.list
	}
	c.seen, c.list = id, nameservers(read(c.path))
	if now.Sub(time.Unix(st.Mtim.Unix())) < 2*time.Second {
		c.seen = identity{} // it may change again without a tick of the clock between
	}
	return c.list
}

// read gives what can be read of a file.
func read(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, maxConf))
	return string(b)
}

// nameservers are those of a resolv.conf. What cannot be read is passed over, as the C
// library does.
func nameservers(text string) (list []netip.AddrPort) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		at, err := netip.ParseAddrPort(f[1])
		if addr, aerr := netip.ParseAddr(f[1]); aerr == nil {
			at, err = netip.AddrPortFrom(addr, resolverPort), nil
		}
		if err != nil || at.Port() == 0 {
			continue
		}
		if list = append(list, at); len(list) == maxResolvers {
			break
		}
	}
	return list
}
