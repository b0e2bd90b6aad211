package cli

import (
	"path/filepath"

	"rl/run/plan"
	"rl/run/plan/option"
)

func (c *runCmd) networking(f *plan.Flags) (err error) {
	if f.Network, err = option.ParseNetworks(c.Network); err != nil {
		return err
	}
	own, err := c.own()
	if err != nil {
		return err
	}
	if err := f.Network.Assign(own); err != nil {
		return err
	}
	for _, s := range c.Publish {
		ports, err := option.ParsePublish(s)
		if err != nil {
			return err
		}
		f.Publish = append(f.Publish, ports...)
	}
	for _, s := range c.Expose {
		ports, err := option.ParseExpose(s)
		if err != nil {
			return err
		}
		f.Expose = append(f.Expose, ports...)
	}
	f.PublishAll = c.PublishAll
	if c.Pcap != "" {
		if f.Pcap, err = filepath.Abs(c.Pcap); err != nil {
			return err
		}
	}
	if err := each(c.AddHost, option.ParseAddHost, &f.AddHosts); err != nil {
		return err
	}
	return each(c.Dns, option.ParseDNS, &f.DNS)
}

// own is what the container wants to be in its first network.
func (c *runCmd) own() (o option.Own, err error) {
	if c.Ip != "" {
		if o.IP, err = option.ParseIP4(c.Ip); err != nil {
			return o, err
		}
	}
	if c.Ip6 != "" {
		if o.IP6, err = option.ParseIP6(c.Ip6); err != nil {
			return o, err
		}
	}
	if c.MacAddress != "" {
		if o.MAC, err = option.ParseMAC(c.MacAddress); err != nil {
			return o, err
		}
	}
	return o, each(c.NetworkAlias, option.ParseAlias, &o.Aliases)
}
