package plan

import (
	"net/netip"
	"slices"

	"rl/slirp"
	"rl/userns/sys/fault"
)

// members lays out one device for each user-defined network.
func (n *Net) members(f *Flags, h *NetFacts) error {
	const most = 10
	if len(h.Joined) > most {
		return fault.New("connect it to fewer", "a container can be in %d networks at most", most)
	}
	n.Config.Internal = true
	names := n.names
	if f.Name != "" { // first, as the name of its address
		names = append([]string{f.Name}, names...)
	}
	names = slices.Clip(names)
	for k, m := range h.Joined {
		own := f.Network.Members[k].Own
		i := m.Interface(h.ID, own.MAC, append(names, own.Aliases...)...)
		i.Name = "eth" + string(rune('0'+k))
		if !m.Internal {
			n.Config.Internal = false
		}
		n.Config.Interfaces = append(n.Config.Interfaces, i)
		n.addrs = append(n.addrs, addrsOf(i)...)
	}
	n.resolvers = n.Config.Interfaces[0].DNS[:1]
	return nil
}

// Interface is a device in the network for the container id, which others find by
// these names and by its id. Its own name is to be given.
func (m *Membership) Interface(id string, mac [6]byte, names ...string) slirp.Interface {
	i := slirp.Interface{MTU: m.MTU, MAC: mac, LAN: &slirp.LAN{Network: m.Network, Dir: m.Dir, ID: id}}
	if i.MTU == 0 {
		i.MTU = slirp.DefaultMTU
	}
	if i.MAC == [6]byte{} {
		i.MAC = macOf(m.IP)
	}
	i.Addrs = []netip.Prefix{netip.PrefixFrom(m.IP, m.Subnet.Bits())}
	i.DNS = []netip.Addr{m.Gateway}
	if m.IP6.IsValid() {
		i.Addrs = append(i.Addrs, netip.PrefixFrom(m.IP6, m.Subnet6.Bits()))
		i.DNS = append(i.DNS, m.Gateway6)
	}
	if !m.Internal {
		i.Gateways = slices.Clone(i.DNS)
	}
	for _, name := range append(slices.Clone(names), id[:12]) {
		if !slices.Contains(i.LAN.Names, name) {
			i.LAN.Names = append(i.LAN.Names, name)
		}
	}
	return i
}
