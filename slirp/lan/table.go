package lan

import "net/netip"

// table is what frames and names are looked up in. It never changes: whoever
// comes or goes has a new one made, and readers need no lock.
type table struct {
	mac   map[uint64]*peer
	ip    map[netip.Addr]*peer
	names map[string][]netip.Addr // with self
	addrs map[netip.Addr]string   // with self
}

// rebuild makes the table anew; the caller holds l.mu, or is Join. When two claim an
// address the later one has it: the earlier must be dying, as addresses are leased.
func (l *LAN) rebuild() {
	t := &table{
		mac: make(map[uint64]*peer, len(l.peers)), ip: make(map[netip.Addr]*peer, 2*len(l.peers)),
		names: map[string][]netip.Addr{}, addrs: map[netip.Addr]string{},
	}
	t.name(l.self)
	for _, p := range l.peers {
		for _, a := range []netip.Addr{p.IP4, p.IP6} {
			if a.IsValid() {
				if old := t.ip[a]; old != nil {
					delete(t.mac, key(old.MAC[:]))
				}
				t.ip[a] = p
			}
		}
		t.mac[key(p.MAC[:])] = p
	}
	for _, p := range l.peers { // in order, so that answers do not jump
		if t.mac[key(p.MAC[:])] == p {
			t.name(p.Member)
		}
	}
	l.table.Store(t)
}

func (t *table) name(m Member) {
	for _, a := range []netip.Addr{m.IP4, m.IP6} {
		if !a.IsValid() {
			continue
		}
		for i, n := range m.Names {
			t.names[n] = append(t.names[n], a)
			if i == 0 {
				t.addrs[a] = n
			}
		}
	}
}

// key is a link address as a number, which maps find faster.
func key(mac []byte) uint64 {
	_ = mac[5]
	return uint64(mac[0])<<40 | uint64(mac[1])<<32 | uint64(mac[2])<<24 | uint64(mac[3])<<16 | uint64(mac[4])<<8 | uint64(mac[5])
}

// Lookup gives the addresses of the members that are called name, the caller
// included, of both families. name is lower case and has no final dot.
func (l *LAN) Lookup(name string) (addrs []netip.Addr, found bool) {
	addrs, found = l.table.Load().names[name]
	return addrs, found
}

// Reverse gives the name of the member that has an address.
func (l *LAN) Reverse(a netip.Addr) (name string, found bool) {
	name, found = l.table.Load().addrs[a.Unmap()]
	return name, found
}

// clash tells whether two members claim the same address.
func clash(a, b Member) bool {
	return a.IP4.IsValid() && a.IP4 == b.IP4 || a.IP6.IsValid() && a.IP6 == b.IP6
}
