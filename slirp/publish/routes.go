package publish

import (
	"container/list"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Where the container's kernel looks for the way to a client. The rules come
// after the one for the table "local" (0) and before "main" (32766). A table a
// protocol: a TCP client's route outlives its connections, which no datagram
// should notice.
const (
	rulePriority = 100
	tableTCP     = 100
	tableUDP     = 101
)

const (
	// maxIdle is how many routes of TCP clients stay when they have no connection:
	// the last segments of one come after both ends have closed it, and the next
	// connection of the same client needs no route made.
	maxIdle = 1024
	// maxPortRules is how many ports have a rule of their own, as rules are tried
	// one after the other. Beyond, a rule has 256 ports.
	maxPortRules = 32
)

// routes brings replies to clients back to the inner sockets, with two things for
// the kernel of the container's namespace, made when they are first needed:
//
//	rule  ipproto tcp sport 80 → table 100         for each published port
//	      (and ICMP's "port unreachable" → table 101)
//	      table 100: local 203.0.113.7 dev eth0    for each client that is being served
//
// A rule with a default route would do, too, and would cut off what the
// container sends from a published port to anybody else: a WireGuard peer sends
// from the port at which it listens.
type routes struct {
	nl *netlink

	mu      sync.Mutex
	rules   map[rule]bool
	ports   int // rules with one port
	clients map[client]*route
	idle    list.List // of *route without a user, the oldest first; TCP only
}

type rule struct {
	family, proto int
	low, high     uint16
}

type client struct {
	proto int
	addr  netip.Addr
}

type route struct {
	client
	src   netip.Addr
	users int
	idle  *list.Element
}

// openRoutes fails when the kernel does not let us have transparent sockets in
// that namespace.
func openRoutes(ns Thread) (*routes, error) {
	r := &routes{rules: map[rule]bool{}, clients: map[client]*route{}}
	err := ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		defer unix.Close(fd)
		if err := transparent(fd, unix.AF_INET); err != nil {
			return err
		}
		r.nl, err = openNetlink()
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// close leaves the routes to the end of the namespace.
func (r *routes) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nl.close()
}

// acquire makes the way from a port of the container's address src back to a client,
// until release is called as often.
func (r *routes) acquire(proto int, addr, src netip.Addr, port uint16) (*route, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.rule(proto, family(addr), port); err != nil {
		return nil, err
	}
	key := client{proto, addr}
	way := r.clients[key]
	if way == nil {
		way = &route{client: key, src: src}
		if err := r.nl.local(unix.RTM_NEWROUTE, table(proto), addr, src); err != nil {
			return nil, fmt.Errorf("route back to %s: %w", addr, err)
		}
		r.clients[key] = way
	}
	if way.idle != nil {
		r.idle.Remove(way.idle)
		way.idle = nil
	}
	way.users++
	return way, nil
}

func (r *routes) release(way *route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if way.users--; way.users > 0 {
		return
	}
	if way.proto == unix.IPPROTO_UDP {
		r.remove(way)
		return
	}
	way.idle = r.idle.PushBack(way)
	if r.idle.Len() > maxIdle {
		r.remove(r.idle.Remove(r.idle.Front()).(*route))
	}
}

// remove forgets a route. When the kernel does not, the namespace's end will.
func (r *routes) remove(way *route) {
	r.nl.local(unix.RTM_DELROUTE, table(way.proto), way.addr, way.src)
	delete(r.clients, way.client)
}

// rule sees to it that replies from a port are looked up in our table.
func (r *routes) rule(proto, family int, port uint16) error {
	one := rule{family, proto, port, port}
	block := rule{family, proto, port &^ 0xff, port | 0xff}
	if r.rules[one] || r.rules[block] {
		return nil
	}
	add := one
	if r.ports >= maxPortRules {
		add = block
	}
	if err := r.nl.addRule(family, proto, table(proto), add.low, add.high); err != nil {
		return fmt.Errorf("policy rule for port %d: %w", port, err)
	}
	r.rules[add] = true
	r.ports++
	if told := (rule{family: family, proto: unix.IPPROTO_ICMP}); proto == unix.IPPROTO_UDP && !r.rules[told] {
		r.rules[told] = true
		r.nl.addUnreachableRule(family, tableUDP) // without it, a refused datagram is one that was lost
	}
	return nil
}

func table(proto int) int {
	if proto == unix.IPPROTO_UDP {
		return tableUDP
	}
	return tableTCP
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
