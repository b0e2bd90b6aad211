// Package lan is a user-defined network: containers of one user that reach each
// other by address and by name, with no bridge, no helper process and no root.
//
// Every member is a monitor with a tap device. The members find each other in a
// directory and give each other their tap descriptors; then a frame for another
// member is one write(2) to that member's device, whose kernel receives it:
//
//	container A          monitor A                  monitor B           container B
//	  eth0 ══tap A══▶ Forward ──── write(tap B) ─────────────────────▶ eth0
//	                     ╎ ◀──── unix socket, silent: its end ────▶ ╎
//	                     ╎         means that the other is gone     ╎
//
// The directory has one listening socket a member, named by its address:
//
//	joiner                                     member that is there
//	  │ listens itself, then reads the directory   │
//	  │ connect ─────────────────────────────────▶ │  checks SO_PEERCRED
//	  │ hello {member} + tap descriptor ─────────▶ │
//	  │ ◀───────── hello {member} + tap descriptor │
//	  ⋮                    nothing more            ⋮
//
// Two that join at the same time may connect both ways; either connection
// will do, and the member is forgotten with the last one. A member that was killed
// leaves a socket that nobody listens on: the next one to join removes it.
//
// Frames keep their virtio_net header from device to device, so that segments of
// 64 KB cross with their checksums undone. Address resolution is answered by the
// asker's own monitor, which knows every member: no frame is flooded.
//
// What it refuses: frames whose source is not the container itself, broadcast and
// multicast between members, protocols other than IPv4, IPv6 and ARP,
// directories that others may enter, and peers that are another user.
package lan

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Member is a container as the others of its network see it.
type Member struct {
	ID    string
	Names []string // name, aliases, host name, short id; Join makes them lower case, as names are compared
	IP4   netip.Addr
	IP6   netip.Addr // invalid where the network has no IPv6
	MAC   [6]byte
}

// LAN is a membership. Its methods may be called from anywhere at any time.
type LAN struct {
	self    Member
	session string // tells this membership from an earlier one with the same address
	dir     *directory
	socket  *net.UnixListener
	tap     *device // our own, for answers and for handing out

	table atomic.Pointer[table] // what is known of the others, replaced as a whole

	mu     sync.Mutex
	peers  []*peer // in the order they came
	conns  map[*net.UnixConn]bool
	closed bool
	work   sync.WaitGroup
}

// How long Join waits for members to answer. One that is stopped (SIGSTOP) answers
// when it goes on, and is a peer from then on.
const joinPatience = 500 * time.Millisecond

// More connections than this are not accepted; a network has at most 65,534
// addresses, and the user at most some hundred containers.
const maxConns = 8192

// Join makes self a member of the network that meets in dir, a directory of mode
// 0700 on a local file system. tap is the container's device with a virtio_net header
// of 10 bytes; it must be non-blocking and stays the caller's. The others that
// are there are known when Join returns.
func Join(dir string, self Member, tap *os.File) (*LAN, error) {
	self.Names = names(self.Names)
	if err := self.check(); err != nil {
		return nil, err
	}
	l := &LAN{self: self, session: newSession(), conns: map[*net.UnixConn]bool{}}
	var err error
	if l.tap, err = duplicate(tap); err != nil {
		return nil, err
	}
	l.rebuild()
	if l.dir, err = openDirectory(dir); err != nil {
		l.tap.shut()
		return nil, err
	}
	if l.socket, err = l.dir.listen(self.file()); err != nil {
		l.tap.shut()
		l.dir.close()
		return nil, err
	}
	l.work.Go(l.accept)
	l.greet()
	return l, nil
}

// greet connects to every member of the directory and waits, but not for long.
func (l *LAN) greet() {
	var met sync.WaitGroup
	for _, name := range l.dir.members() {
		if name == l.self.file() {
			continue
		}
		met.Add(1)
		l.work.Go(func() {
			once := sync.OnceFunc(met.Done)
			defer once()
			if c := l.dir.dial(name); c != nil {
				l.serve(c, once)
			}
		})
	}
	all := make(chan struct{})
	go func() { met.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(joinPatience):
	}
}

// accept takes connections until the socket is closed.
func (l *LAN) accept() {
	for {
		c, err := l.socket.AcceptUnix()
		switch {
		case err == nil:
			l.work.Go(func() { l.serve(c, func() {}) })
		case l.isClosed():
			return
		default: // out of descriptors: the joiner waits in the backlog
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// serve speaks with one peer until it is gone. met is called when it is known.
func (l *LAN) serve(c *net.UnixConn, met func()) {
	defer c.Close()
	if !l.hold(c) {
		return
	}
	defer l.release(c)
	if !sameUser(c) || sendHello(c, hello{Version: version, Session: l.session, Member: l.self}, l.tap) != nil {
		return
	}
	h, tap, err := recvHello(c)
	if err != nil {
		return
	}
	p := l.welcome(h, tap)
	if p == nil {
		return
	}
	defer l.forget(p)
	met()
	var b [1]byte
	for { // nothing more is said; the end is the message
		if n, err := c.Read(b[:]); err != nil || n == 0 {
			return
		}
	}
}

// hold remembers a connection, for Close to end it.
func (l *LAN) hold(c *net.UnixConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.conns) >= maxConns {
		return false
	}
	l.conns[c] = true
	return true
}

func (l *LAN) release(c *net.UnixConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

func (l *LAN) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// Members are the other members, in the order of their addresses.
func (l *LAN) Members() []Member {
	var list []Member
	for _, p := range l.table.Load().mac {
		list = append(list, p.Member)
	}
	slices.SortFunc(list, func(a, b Member) int { return a.addr().Compare(b.addr()) })
	return list
}

// Close leaves the network. The other members' devices are let go when it
// returns; the caller's own lives on.
func (l *LAN) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	for c := range l.conns {
		c.Close()
	}
	l.mu.Unlock()
	// First the name, so that nobody looks for us behind it.
	err := l.dir.remove(l.self.file())
	if e := l.socket.Close(); err == nil {
		err = e
	}
	l.work.Wait()
	l.tap.shut()
	if e := l.dir.close(); err == nil {
		err = e
	}
	if err == unix.ENOENT {
		return nil
	}
	return err
}
