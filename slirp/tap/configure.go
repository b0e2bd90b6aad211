package tap

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Interface is what a device is to be.
type Interface struct {
	Name     string
	MAC      [6]byte
	MTU      int            // bytes, 68 to 65521; IPv6 wants 1280
	Addrs    []netip.Prefix // with the length of their subnet
	Gateways []netip.Addr   // default routes, at most one a family
	Metric   uint32         // of those routes: the lowest wins
}

const addrGenModeNone = 1 // IN6_ADDR_GEN_MODE_NONE, linux/if_link.h

// Configure gives a device its addresses and routes and brings it up, in the
// calling thread's network namespace. The device has no IPv6 link-local address and
// listens to no router: its neighbour is known.
func Configure(i Interface) error {
	nl, err := dial()
	if err != nil {
		return err
	}
	defer nl.close()
	ifr, err := unix.NewIfreq(i.Name)
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(nl.fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return fmt.Errorf("find the device %s: %w", i.Name, err)
	}
	index := ifr.Uint32()

	nl.begin(fmt.Sprintf("give the device the MTU %d and the address %s", i.MTU, net.HardwareAddr(i.MAC[:])), unix.RTM_NEWLINK, 0)
	nl.ifinfo(index, 0, 0)
	nl.attr(unix.IFLA_MTU, native32(uint32(i.MTU)))
	nl.attr(unix.IFLA_ADDRESS, i.MAC[:])
	nl.begin("", unix.RTM_NEWLINK, 0) // a kernel without IPv6 refuses it
	nl.ifinfo(index, 0, 0)
	nl.nest(unix.IFLA_AF_SPEC, func() {
		nl.nest(unix.AF_INET6, func() { nl.attr(unix.IFLA_INET6_ADDR_GEN_MODE, []byte{addrGenModeNone}) })
	})
	nl.begin("bring the device up", unix.RTM_NEWLINK, 0)
	nl.ifinfo(index, unix.IFF_UP, unix.IFF_UP)
	for _, a := range i.Addrs {
		nl.begin(fmt.Sprintf("add the address %s", a), unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		nl.address(index, a)
	}
	for _, g := range i.Gateways {
		nl.begin(fmt.Sprintf("add the default route by %s", g), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		nl.route(index, g, i.Metric)
	}
	return nl.flush()
}

// LoopbackUp brings lo up.
func LoopbackUp() error {
	nl, err := dial()
	if err != nil {
		return err
	}
	defer nl.close()
	nl.begin("bring lo up", unix.RTM_NEWLINK, 0)
	nl.ifinfo(1, unix.IFF_UP, unix.IFF_UP) // lo is 1 in every namespace
	return nl.flush()
}
