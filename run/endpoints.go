package run

import (
	"rl/run/plan"
	"rl/run/state"
)

// endpoints are the container's places in networks, as its stack is configured.
func endpoints(n *plan.Net, rung string) (list []state.Endpoint) {
	if n.Config == nil {
		return nil
	}
	for _, i := range n.Config.Interfaces {
		e := state.Endpoint{Network: rung, Addrs: i.Addrs, Gateways: i.Gateways, MAC: i.MAC}
		if i.LAN != nil {
			e.Network, e.Names = i.LAN.Network, i.LAN.Names
		}
		list = append(list, e)
	}
	return list
}
