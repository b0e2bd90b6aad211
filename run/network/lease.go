package network

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// Want is what a container wants to be in a network. Zero values are any.
type Want struct {
	IP, IP6 netip.Addr
	MAC     [6]byte
}

// Holder is a container that has an address.
type Holder struct {
	ID, Name string
	IP       netip.Addr
	IP6      netip.Addr `json:",omitzero"`
	MAC      [6]byte
}

// Lease is a container's place in a network, for as long as any process has
// its files open.
type Lease struct {
	Network *Network
	Holder
	Dir   string     // where the members meet
	Files []*os.File // one a family
}

// Close gives the addresses back, unless another process has the files too.
func (l *Lease) Close() error {
	var errs []error
	for _, f := range l.Files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// MAC is the link address that belongs to an IPv4 address.
func MAC(a netip.Addr) [6]byte {
	b := a.As4()
	return [6]byte{2, 0x42, b[0], b[1], b[2], b[3]}
}

// Lease takes addresses in a network, given by name or id, for the container id, called
// name. The address of IPv6 has the number of that of IPv4, unless one is wanted.
func (s *Store) Lease(network string, want Want, id, name string) (*Lease, error) {
	unlock, err := s.lock(false)
	if errors.Is(err, ErrNotFound) {
		_, err = s.Get(network)
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	defer unlock()
	n, err := s.Get(network)
	if err != nil {
		return nil, err
	}
	if err := want.check(n); err != nil {
		return nil, err
	}
	if want.MAC != [6]byte{} {
		if err := s.ownMAC(n, want.MAC); err != nil {
			return nil, err
		}
	}
	l := &Lease{Network: n, Holder: Holder{ID: id, Name: name, MAC: want.MAC}}
	if err := l.take(s, want); err != nil {
		l.Close()
		return nil, err
	}
	if l.Dir, err = s.ensureSocketDir(n); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (w *Want) check(n *Network) error {
	for _, c := range []struct {
		a, gateway netip.Addr
		subnet     netip.Prefix
	}{{w.IP, n.Gateway, n.Subnet}, {w.IP6, n.Gateway6, n.Subnet6}} {
		switch {
		case !c.a.IsValid():
		case !c.subnet.IsValid():
			return fault.New("make the network with --ipv6", "address %s: network %s has no IPv6", c.a, n.Name)
		case !usable(c.subnet, c.a):
			return fault.New("choose one of "+c.subnet.String(), "address %s: no address that network %s has to give", c.a, n.Name)
		case c.a == c.gateway:
			return fault.New("choose another", "address %s is the gateway of network %s", c.a, n.Name)
		}
	}
	if w.MAC[0]&1 != 0 {
		return fault.New("clear the lowest bit of the first byte", "link address %s: a multicast address", net.HardwareAddr(w.MAC[:]))
	}
	return nil
}

// ownMAC refuses a link address that another member has.
func (s *Store) ownMAC(n *Network, mac [6]byte) error {
	members, err := s.Members(n)
	for _, m := range members {
		if m.MAC == mac {
			return fault.New("choose another", "link address %s is in use by container %s in network %s", net.HardwareAddr(mac[:]), m.Name, n.Name)
		}
	}
	return err
}

// take finds addresses that nobody has and locks them.
func (l *Lease) take(s *Store, want Want) error {
	n := l.Network
	first, last := n.Subnet.Addr().Next(), n.Subnet
	if n.Range.IsValid() {
		first, last = n.Range.Addr(), n.Range
	}
	if want.IP.IsValid() {
		first, last = want.IP, netip.PrefixFrom(want.IP, 32)
	}
	for a := first; last.Contains(a); a = a.Next() {
		if !usable(n.Subnet, a) || a == n.Gateway {
			continue
		}
		ok, err := l.try(s, a, want)
		if ok || err != nil {
			return err
		}
	}
	switch {
	case want.IP.IsValid() || want.IP6.IsValid():
		return l.inUse(s, want)
	default:
		return fault.New("end some containers, or make a network with a larger --subnet", "network %s has no free address in %s", n.Name, last)
	}
}

// try takes one address, and with it one of IPv6.
func (l *Lease) try(s *Store, a netip.Addr, want Want) (bool, error) {
	n := l.Network
	l.IP = a
	addrs := []netip.Addr{a}
	if n.Subnet6.IsValid() {
		if l.IP6 = want.IP6; !l.IP6.IsValid() {
			l.IP6 = n.pair(a)
		}
		if l.IP6 == n.Gateway6 && !want.IP6.IsValid() {
			return false, nil
		}
		addrs = append(addrs, l.IP6)
	}
	if want.MAC == [6]byte{} {
		l.MAC = MAC(a)
	}
	for _, a := range addrs {
		f, err := occupy(s.dir(n.Name, "leases", a.String()))
		if f != nil {
			l.Files = append(l.Files, f)
		}
		if f == nil || err != nil {
			err = errors.Join(err, l.Close())
			l.Files = nil
			return false, err
		}
	}
	data, err := json.Marshal(l.Holder)
	if err != nil {
		return false, err
	}
	if err := l.Files[0].Truncate(0); err != nil {
		return false, err
	}
	_, err = l.Files[0].WriteAt(data, 0)
	return err == nil, err
}

// pair is the address of IPv6 with the same number in its subnet.
func (n *Network) pair(a netip.Addr) netip.Addr {
	b := n.Subnet6.Addr().As16()
	host := number4(a) - number4(n.Subnet.Addr())
	low := b[12:]
	binary.BigEndian.PutUint32(low, binary.BigEndian.Uint32(low)|host)
	return netip.AddrFrom16(b)
}

// inUse says who has an address that was wanted.
func (l *Lease) inUse(s *Store, want Want) error {
	members, err := s.Members(l.Network)
	for _, m := range members {
		for _, a := range []netip.Addr{want.IP, want.IP6} {
			if a.IsValid() && (a == m.IP || a == m.IP6) {
				return fault.New("choose another, or leave it away", "address %s is in use by container %s in network %s", a, m.Name, l.Network.Name)
			}
		}
	}
	if err != nil {
		return err
	}
	return fault.New("choose another, or leave it away", "address already in use in network %s: %s", l.Network.Name, wanted(want))
}

func wanted(w Want) string {
	if !w.IP.IsValid() {
		return w.IP6.String()
	}
	return w.IP.String()
}

// ensureSocketDir makes the directory where members meet.
func (s *Store) ensureSocketDir(n *Network) (string, error) {
	dir := s.SocketDir(n)
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, unix.ENOENT) {
		if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
			return "", err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return dir, nil
}
