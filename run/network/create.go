package network

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"rl/userns/sys/fault"
)

// Spec says what network is wanted. Its zero value but for Name is good.
type Spec struct {
	Name     string
	Subnets  []netip.Prefix // at most one of a family; none: a free one is found
	Gateways []netip.Addr   // of those subnets; their first address when left away
	Ranges   []netip.Prefix // of IPv4: where addresses are given from
	IPv6     bool           // have IPv6 even when no subnet of it is given
	Internal bool
	Labels   map[string]string
	Options  map[string]string // mtu, com.docker.network.driver.mtu; others are kept and have no effect
}

// Create makes a network. routes are those of the host, which a subnet that is not
// asked for keeps clear of.
func (s *Store) Create(spec Spec, routes []netip.Prefix) (*Network, error) {
	n, err := spec.network()
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock(true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := os.Lstat(s.dir(n.Name)); err == nil {
		return nil, fault.New("choose another name, or `rl network rm "+n.Name+"` first", "network with name %s already exists", n.Name)
	}
	others, err := s.List()
	if err != nil {
		return nil, err
	}
	if err := n.settle(others, routes); err != nil {
		return nil, err
	}
	return n, s.publish(n)
}

// network checks what needs no knowledge of other networks.
func (spec *Spec) network() (*Network, error) {
	n := &Network{Name: spec.Name, Created: time.Now().UTC(), Internal: spec.Internal, Labels: spec.Labels, Options: spec.Options}
	switch {
	case Reserved(spec.Name):
		return nil, fault.New("choose another name", "network name %s is reserved: it means something else to --network", spec.Name)
	case !validName(spec.Name):
		return nil, fault.New("use at most 128 of a-z A-Z 0-9 _ . -, the first a letter or digit", "bad network name %q", spec.Name)
	}
	for _, p := range spec.Subnets {
		if err := checkSubnet(p); err != nil {
			return nil, err
		}
		of := &n.Subnet
		if p.Addr().Is6() {
			of = &n.Subnet6
		}
		if of.IsValid() {
			return nil, fault.New("give one of IPv4, and one of IPv6", "bad subnet %s: %s is of the same family", p, of)
		}
		*of = p
	}
	for _, g := range spec.Gateways {
		of, subnet := &n.Gateway, n.Subnet
		if g.Is6() {
			of, subnet = &n.Gateway6, n.Subnet6
		}
		switch {
		case !subnet.IsValid():
			return nil, fault.New("give its --subnet too", "bad gateway %s: no subnet of its family is given", g)
		case !usable(subnet, g):
			return nil, fault.New("", "bad gateway %s: it is not an address of subnet %s", g, subnet)
		case of.IsValid():
			return nil, fault.New("give one a subnet", "bad gateway %s: %s is one already", g, of)
		}
		*of = g
	}
	for _, r := range spec.Ranges {
		if !n.Subnet.IsValid() || !r.Addr().Is4() || r.Bits() < n.Subnet.Bits() || !n.Subnet.Contains(r.Addr()) || n.Range.IsValid() {
			return nil, fault.New("give one range, within the --subnet of IPv4", "bad ip range %s", r)
		}
		n.Range = r.Masked()
	}
	for _, name := range []string{"mtu", "com.docker.network.driver.mtu"} {
		text, ok := spec.Options[name]
		if !ok {
			continue
		}
		least := 68
		if spec.IPv6 || n.Subnet6.IsValid() {
			least = 1280 // RFC 8200, 5
		}
		mtu, err := strconv.Atoi(text)
		if err != nil || mtu < least || mtu > 65535 {
			return nil, fault.New(fmt.Sprintf("give %d to 65535 bytes", least), "bad %s %q", name, text)
		}
		n.MTU = mtu
	}
	if spec.IPv6 && !n.Subnet6.IsValid() {
		n.Subnet6 = local6()
	}
	return n, nil
}

// settle finds the subnets and gateways that are still open, and refuses what others have.
func (n *Network) settle(others []*Network, routes []netip.Prefix) error {
	var taken []netip.Prefix
	for _, o := range others {
		for _, p := range []netip.Prefix{n.Subnet, n.Subnet6} {
			for _, q := range []netip.Prefix{o.Subnet, o.Subnet6} {
				if p.IsValid() && q.IsValid() && p.Overlaps(q) {
					return fault.New("leave --subnet away for a free one", "subnet %s overlaps with network %s, which has %s", p, o.Name, q)
				}
			}
		}
		taken = append(taken, o.Subnet)
	}
	if !n.Subnet.IsValid() {
		if n.Subnet = free(append(taken, routes...)); !n.Subnet.IsValid() {
			return fault.New("give one with --subnet", "no free subnet: this host and %d networks use all private ones", len(others))
		}
	}
	if n.Subnet6.IsValid() && 128-n.Subnet6.Bits() < 32-n.Subnet.Bits() {
		return fault.New("give a /64", "bad subnet %s: it has fewer addresses than %s", n.Subnet6, n.Subnet)
	}
	if !n.Gateway.IsValid() {
		n.Gateway = n.Subnet.Addr().Next()
	}
	if n.Subnet6.IsValid() && !n.Gateway6.IsValid() {
		n.Gateway6 = n.Subnet6.Addr().Next()
	}
	return nil
}

// publish writes a network and has it appear at once and whole.
func (s *Store) publish(n *Network) (err error) {
	var id [32]byte
	rand.Read(id[:])
	n.ID = hex.EncodeToString(id[:])
	data, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	fresh := s.dir(".new-" + n.ID)
	if err := os.MkdirAll(filepath.Join(fresh, "leases"), 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(fresh)
		}
	}()
	f, err := os.OpenFile(filepath.Join(fresh, "config.json"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if e := f.Sync(); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write network %s: %w", n.Name, err)
	}
	return os.Rename(fresh, s.dir(n.Name))
}
