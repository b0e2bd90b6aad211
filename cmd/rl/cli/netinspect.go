package cli

import (
	"encoding/json"
	"net"
	"net/netip"
	"time"

	"rl/run/network"
)

type networkInspectCmd struct {
	Names   []string `arg:"" help:"Names or ids."`
	Format  string   `short:"f" placeholder:"TEMPLATE" help:"json, or a Go template."`
	Verbose bool     `short:"v" help:"Accepted for docker's sake."`
}

// inspectedNetwork is docker's description of a network.
type inspectedNetwork struct {
	Name       string
	ID         string `json:"Id"`
	Created    time.Time
	Scope      string
	Driver     string
	EnableIPv4 bool
	EnableIPv6 bool
	IPAM       ipam
	Internal   bool
	Attachable bool
	Ingress    bool
	ConfigFrom struct{ Network string }
	ConfigOnly bool
	Containers map[string]endpoint
	Options    map[string]string
	Labels     map[string]string
}

type ipam struct {
	Driver  string
	Options map[string]string
	Config  []ipamConfig
}

type ipamConfig struct {
	Subnet  string
	IPRange string `json:",omitempty"`
	Gateway string
}

type endpoint struct {
	Name        string
	EndpointID  string
	MacAddress  string
	IPv4Address string
	IPv6Address string
}

// Run prints an array of descriptions, and then what could not be described.
func (c *networkInspectCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	all := []any{}
	var errs []error
	for _, name := range c.Names {
		n, members, err := e.Network(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, describeNetwork(n, members))
	}
	if c.Format != "" && c.Format != "json" {
		err = format(a.Out, c.Format, all)
	} else {
		var b []byte
		b, err = json.MarshalIndent(all, "", "    ")
		a.println(string(b))
	}
	return joined(append(errs, err))
}

func describeNetwork(n *network.Network, members []network.Holder) inspectedNetwork {
	d := inspectedNetwork{
		Name: n.Name, ID: n.ID, Created: n.Created, Scope: "local", Driver: "bridge", EnableIPv4: true, EnableIPv6: n.Subnet6.IsValid(),
		IPAM:     ipam{Driver: "default", Options: map[string]string{}, Config: []ipamConfig{{Subnet: n.Subnet.String(), Gateway: n.Gateway.String()}}},
		Internal: n.Internal, Containers: map[string]endpoint{}, Options: n.Options, Labels: n.Labels,
	}
	if n.Range.IsValid() {
		d.IPAM.Config[0].IPRange = n.Range.String()
	}
	if n.Subnet6.IsValid() {
		d.IPAM.Config = append(d.IPAM.Config, ipamConfig{Subnet: n.Subnet6.String(), Gateway: n.Gateway6.String()})
	}
	if d.Options == nil {
		d.Options = map[string]string{}
	}
	if d.Labels == nil {
		d.Labels = map[string]string{}
	}
	for _, m := range members {
		e := endpoint{Name: m.Name, MacAddress: net.HardwareAddr(m.MAC[:]).String(), IPv4Address: netip.PrefixFrom(m.IP, n.Subnet.Bits()).String()}
		if m.IP6.IsValid() {
			e.IPv6Address = netip.PrefixFrom(m.IP6, n.Subnet6.Bits()).String()
		}
		d.Containers[m.ID] = e
	}
	return d
}
