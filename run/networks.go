package run

import (
	"net/netip"

	"rl/run/network"
	"rl/userns/probe"
	"rl/userns/sys/fault"
)

// networks are the user-defined networks of the store.
func (e *Engine) networks() (*network.Store, error) {
	runtime, err := probe.Runtime(e.Facts)
	if err != nil {
		return nil, err
	}
	return &network.Store{Root: e.Store.Root(), Runtime: runtime.Path}, nil
}

// CreateNetwork makes a user-defined network, by itself in a subnet that the host
// has no route to.
func (e *Engine) CreateNetwork(spec network.Spec) (*network.Network, error) {
	s, err := e.networks()
	if err != nil {
		return nil, err
	}
	routes, err := network.HostRoutes()
	if err != nil {
		e.Notice("the host's routes cannot be read, the network may hide one: " + err.Error())
	}
	n, err := s.Create(spec, routes)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if n.Subnet.Overlaps(r) {
			e.Notice("containers of network " + n.Name + " cannot reach the host's network " + r.String() + ": it overlaps with their " + n.Subnet.String())
			break
		}
	}
	return n, nil
}

// Networks lists the user-defined networks.
func (e *Engine) Networks() ([]*network.Network, error) {
	s, err := e.networks()
	if err != nil {
		return nil, err
	}
	return s.List()
}

// Network finds a network by name or id, and the containers that are in it now.
func (e *Engine) Network(text string) (*network.Network, []network.Holder, error) {
	s, err := e.networks()
	if err != nil {
		return nil, nil, err
	}
	n, err := s.Get(text)
	if err != nil {
		return nil, nil, err
	}
	members, err := s.Members(n)
	return n, members, err
}

// RemoveNetwork removes a network that no running container is in, and gives its name.
func (e *Engine) RemoveNetwork(text string) (string, error) {
	s, err := e.networks()
	if err != nil {
		return "", err
	}
	return s.Remove(text)
}

// PruneNetworks removes the networks that no running container is in and that want
// wants removed.
func (e *Engine) PruneNetworks(want func(*network.Network) bool) ([]string, error) {
	s, err := e.networks()
	if err != nil {
		return nil, err
	}
	return s.Prune(want)
}

// Attachment is what a container wants to be in a network that it is connected to
// while it runs.
type Attachment struct {
	Network, Container string // names or ids
	IP, IP6            netip.Addr
	Aliases            []string
}

// ConnectNetwork connects a running container to a further network.
func (e *Engine) ConnectNetwork(a Attachment) error {
	n, _, err := e.Network(a.Network)
	if err != nil {
		return err
	}
	return fault.New("start it with --network "+n.Name+", which can be given several times",
		"cannot connect container %s to network %s: running containers cannot be connected yet", a.Container, n.Name)
}

// DisconnectNetwork takes a running container out of a network.
func (e *Engine) DisconnectNetwork(text, container string) error {
	n, _, err := e.Network(text)
	if err != nil {
		return err
	}
	return fault.New("end the container", "cannot disconnect container %s from network %s: running containers cannot be disconnected yet", container, n.Name)
}
