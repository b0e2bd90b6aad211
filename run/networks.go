package run

import (
	"encoding/json"
	"net/netip"

	"rl/run/monitor"
	"rl/run/network"
	"rl/run/plan"
	"rl/run/state"
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
	e.tellNetwork(n, "create")
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
	n, err := s.Get(text)
	if err != nil {
		n = &network.Network{Name: text}
	}
	name, err := s.Remove(text)
	if err == nil {
		e.tellNetwork(n, "destroy")
	}
	return name, err
}

// PruneNetworks removes the networks that no running container is in and that want
// wants removed.
func (e *Engine) PruneNetworks(want func(*network.Network) bool) ([]string, error) {
	s, err := e.networks()
	if err != nil {
		return nil, err
	}
	known := map[string]*network.Network{}
	names, err := s.Prune(func(n *network.Network) bool {
		known[n.Name] = n
		return want == nil || want(n)
	})
	for _, name := range names {
		e.tellNetwork(known[name], "destroy")
	}
	return names, err
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
	store, err := e.networks()
	if err != nil {
		return err
	}
	n, err := store.Get(a.Network)
	if err != nil {
		return err
	}
	rec, err := e.connectable(a.Container)
	if err != nil {
		return err
	}
	l, err := store.Lease(n.Name, network.Want{IP: a.IP, IP6: a.IP6}, rec.ID, rec.Name)
	if err != nil {
		return err
	}
	defer l.Close()
	m := membership(l)
	device, err := json.Marshal(m.Interface(rec.ID, [6]byte{}, append([]string{rec.Name}, a.Aliases...)...))
	if err != nil {
		return err
	}
	var fds []int
	for _, f := range l.Files {
		if err := control(f, func(fd int) { fds = append(fds, fd) }); err != nil {
			return err
		}
	}
	if _, err = monitor.Ask(rec.Control, append([]byte{monitor.AskAttach}, device...), fds...); err == nil {
		e.tellNetwork(n, "connect", "container", rec.ID)
	}
	return err
}

// DisconnectNetwork takes a running container out of a network.
func (e *Engine) DisconnectNetwork(text, container string) error {
	n, _, err := e.Network(text)
	if err != nil {
		return err
	}
	rec, err := e.connectable(container)
	if err != nil {
		return err
	}
	if _, err = monitor.Ask(rec.Control, append([]byte{monitor.AskDetach}, n.Name...)); err == nil {
		e.tellNetwork(n, "disconnect", "container", rec.ID)
	}
	return err
}

// exposed are the ports that the container exposes, where it has a network to have them in.
func (p *preparation) exposed() []string {
	if !connected(p.network) {
		return nil
	}
	return plan.Exposed(p.image, &p.Flags)
}

// LiveNetworks are the names of the user-defined networks that each running container is in
// now, by the container's id. What cannot be read is left out.
func (e *Engine) LiveNetworks() map[string][]string {
	live := map[string][]string{}
	s, err := e.networks()
	if err != nil {
		return live
	}
	all, _ := s.List()
	for _, n := range all {
		members, _ := s.Members(n)
		for _, m := range members {
			live[m.ID] = append(live[m.ID], n.Name)
		}
	}
	return live
}

// connectable finds a running container that has a network of rl's.
func (e *Engine) connectable(text string) (*state.Record, error) {
	rec, err := e.State.Find(text)
	switch {
	case err != nil:
		return nil, err
	case !e.State.Running(rec.ID):
		return nil, fault.New("start it with --network NAME, which can be given several times", "container %s is not running", rec.Name)
	case !stacked(rec.Network):
		return nil, fault.New("start it with --network slirp or a network's name",
			"container %s cannot be connected to networks: its network mode is %s", rec.Name, rec.Network)
	}
	return rec, nil
}
