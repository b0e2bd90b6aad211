package cli

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"rl/run"
	"rl/run/network"
	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

type networkCmd struct {
	Create     networkCreateCmd     `cmd:"" help:"Make a network."`
	Ls         networkLsCmd         `cmd:"" aliases:"list" help:"List networks."`
	Inspect    networkInspectCmd    `cmd:"" help:"Show all that is known of networks, as JSON."`
	Rm         networkRmCmd         `cmd:"" aliases:"remove" help:"Remove networks."`
	Prune      networkPruneCmd      `cmd:"" help:"Remove all networks that no running container is in."`
	Connect    networkConnectCmd    `cmd:"" help:"Connect a running container to a network."`
	Disconnect networkDisconnectCmd `cmd:"" help:"Take a running container out of a network."`
	Exists     networkExistsCmd     `cmd:"" help:"Exit with 1 when there is no such network."`
}

// Help is what stands below the list of verbs.
func (networkCmd) Help() string {
	return `Containers on one network (rl run --network NAME) reach each other by address and by name, and nothing of other networks. A network needs no root, no bridge and no process; it is gone from the host when its last container ends, and stays on the list until it is removed.`
}

type networkCreateCmd struct {
	Name       string   `arg:"" help:"Name of the network."`
	Attachable bool     `help:"Accepted for docker's sake: every network is."`
	Driver     string   `short:"d" default:"bridge" placeholder:"DRIVER" help:"bridge, the only one there is."`
	Gateway    []string `placeholder:"IP" help:"Address of the gateway in the subnet; default is the first."`
	Internal   bool     `help:"Have no way out: containers reach each other only."`
	IpRange    []string `placeholder:"SUBNET" help:"Part of the subnet that containers' addresses are taken from."`
	Ipv6       bool     `name:"ipv6" help:"Have IPv6 too."`
	Label      []string `sep:"none" placeholder:"KEY=VALUE" help:"Label."`
	Opt        []string `short:"o" sep:"none" placeholder:"KEY=VALUE" help:"mtu=N; others are kept and have no effect."`
	Subnet     []string `placeholder:"SUBNET" help:"Subnet, one of each family; default is one that is free."`
}

// Run makes the network and prints its id.
func (c *networkCreateCmd) Run(a *app) error {
	if c.Driver != "bridge" && c.Driver != "default" {
		return fault.New("leave --driver away: rl's networks are in user mode", "there is no network driver %q", c.Driver)
	}
	spec := network.Spec{Name: c.Name, IPv6: c.Ipv6, Internal: c.Internal}
	if err := each(c.Subnet, said("subnet", "write it as 10.5.0.0/24", netip.ParsePrefix), &spec.Subnets); err != nil {
		return err
	}
	if err := each(c.IpRange, said("ip range", "write it as 10.5.0.128/25", netip.ParsePrefix), &spec.Ranges); err != nil {
		return err
	}
	if err := each(c.Gateway, said("gateway", "write an address", netip.ParseAddr), &spec.Gateways); err != nil {
		return err
	}
	var err error
	if spec.Labels, err = pairs(c.Label); err != nil {
		return err
	}
	if spec.Options, err = pairs(c.Opt); err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	n, err := e.CreateNetwork(spec)
	if err != nil {
		return err
	}
	a.println(n.ID)
	return nil
}

// said makes a parser's error the user's.
func said[T any](kind, hint string, parse func(string) (T, error)) func(string) (T, error) {
	return func(text string) (T, error) {
		t, err := parse(text)
		if err != nil {
			err = fault.New(hint, "bad %s %q", kind, text)
		}
		return t, err
	}
}

func pairs(values []string) (map[string]string, error) {
	m := map[string]string{}
	for _, v := range values {
		l, err := option.ParseLabel(v)
		if err != nil {
			return nil, err
		}
		m[l.Key] = l.Value
	}
	return m, nil
}

type networkLsCmd struct {
	Filter  []string `short:"f" sep:"none" placeholder:"KEY=VALUE" help:"Only those with this driver, id, label, name, scope, type, or dangling=true."`
	Format  string   `placeholder:"TEMPLATE" help:"json, or a Go template over the columns' names."`
	NoTrunc bool     `help:"Show whole ids."`
	Quiet   bool     `short:"q" help:"Only ids."`
}

// networkRow is a line of the list, with docker's names for templates.
type networkRow struct {
	CreatedAt string `head:"CREATED AT"`
	Driver    string
	ID        string `head:"NETWORK ID"`
	IPv4      string
	IPv6      string
	Internal  string
	Labels    string
	Name      string
	Scope     string
}

// Run lists the networks by name.
func (c *networkLsCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	want, err := networkFilter(c.Filter, "driver", "id", "label", "name", "scope", "type", "dangling")
	if err != nil {
		return err
	}
	list, damaged := e.Networks()
	var rows []networkRow
	for _, n := range list {
		ok, err := want(e, n)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		row := networkRow{CreatedAt: n.Created.String(), Driver: "bridge", ID: n.ID, IPv4: "true", IPv6: strconv.FormatBool(n.Subnet6.IsValid()),
			Internal: strconv.FormatBool(n.Internal), Labels: joinPairs(n.Labels), Name: n.Name, Scope: "local"}
		if !c.NoTrunc {
			row.ID = short(row.ID)
		}
		rows = append(rows, row)
	}
	if err := c.print(a, rows); err != nil {
		return err
	}
	return damaged
}

func (c *networkLsCmd) print(a *app, rows []networkRow) error {
	if c.Quiet && c.Format == "" {
		for _, r := range rows {
			a.println(r.ID)
		}
		return nil
	}
	if c.Format != "" && c.Format != "table" {
		return format(a.Out, c.Format, rows)
	}
	lines := [][]string{{"NETWORK ID", "NAME", "DRIVER", "SCOPE"}}
	for _, r := range rows {
		lines = append(lines, []string{r.ID, r.Name, r.Driver, r.Scope})
	}
	return table(a.Out, lines)
}

func joinPairs(m map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, k+"="+m[k])
	}
	return strings.Join(list, ",")
}

type networkRmCmd struct {
	Names []string `arg:"" help:"Names or ids."`
	Force bool     `short:"f" help:"Say nothing of networks that there are not."`
}

// Run removes each network; one that fails does not keep the others.
func (c *networkRmCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	var errs []error
	for _, text := range c.Names {
		name, err := e.RemoveNetwork(text)
		switch {
		case err == nil:
			a.println(name)
		case !c.Force || !errors.Is(err, network.ErrNotFound):
			errs = append(errs, err)
		}
	}
	return refused(joined(errs))
}

type networkConnectCmd struct {
	Network   string   `arg:"" help:"Name or id of the network."`
	Container string   `arg:"" help:"Name or id of the container."`
	Alias     []string `placeholder:"NAME" help:"Further name of the container in this network."`
	Ip        string   `name:"ip" placeholder:"IP" help:"Its address of IPv4."`
	Ip6       string   `name:"ip6" placeholder:"IP" help:"Its address of IPv6."`
}

// Run connects the container.
func (c *networkConnectCmd) Run(a *app) error {
	at := run.Attachment{Network: c.Network, Container: c.Container, Aliases: c.Alias}
	for _, f := range []struct {
		text string
		addr *netip.Addr
		six  bool
	}{{c.Ip, &at.IP, false}, {c.Ip6, &at.IP6, true}} {
		if f.text == "" {
			continue
		}
		ip, err := netip.ParseAddr(f.text)
		if err != nil || ip.Is6() != f.six || ip.Zone() != "" {
			return fault.New("--ip takes one of IPv4, --ip6 of IPv6", "bad address %q", f.text)
		}
		*f.addr = ip
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	return e.ConnectNetwork(at)
}

type networkDisconnectCmd struct {
	Network   string `arg:"" help:"Name or id of the network."`
	Container string `arg:"" help:"Name or id of the container."`
	Force     bool   `short:"f" help:"Accepted for docker's sake."`
}

// Run takes the container out.
func (c *networkDisconnectCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	return e.DisconnectNetwork(c.Network, c.Container)
}

type networkExistsCmd struct {
	Name string `arg:"" help:"Name or id."`
}

// Run says it by the exit status.
func (c *networkExistsCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	_, _, err = e.Network(c.Name)
	return existence(err, network.ErrNotFound)
}
