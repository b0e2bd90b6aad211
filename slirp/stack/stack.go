// Package stack is the TCP/IP stack behind a container's tap devices.
//
// It answers for every address in the world: a container's connection ends
// here, and [rl/slirp/forward] opens another one for it from the host.
package stack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"time"
)

// Stack is one container's.
type Stack struct {
	*stack.Stack
}

// New makes a stack without devices.
func New() (*Stack, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack)
	// A connection over a tap device loses nothing that could come later.
	wait := tcpip.TCPTimeWaitTimeoutOption(time.Second)
	s.SetTransportProtocolOption(tcp.ProtocolNumber, &wait)
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 4 << 20}
	s.SetTransportProtocolOption(tcp.ProtocolNumber, &rcv)
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: 1 << 20, Max: 4 << 20}
	s.SetTransportProtocolOption(tcp.ProtocolNumber, &snd)
	return &Stack{s}, nil
}

// Attach adds a device: gateways are the addresses that are our own on it,
// peer the container's link address.
func (s *Stack) Attach(id tcpip.NICID, e stack.LinkEndpoint, gateways []netip.Addr, container []netip.Addr, mac [6]byte) tcpip.Error {
	if err := s.CreateNIC(id, e); err != nil {
		return err
	}
	s.SetPromiscuousMode(id, true)
	s.SetSpoofing(id, true)
	for _, g := range gateways {
		s.AddProtocolAddress(id, tcpip.ProtocolAddress{Protocol: protocol(g), AddressWithPrefix: tcpip.AddrFromSlice(g.AsSlice()).WithPrefix()}, stack.AddressProperties{})
	}
	for _, a := range container {
		s.AddStaticNeighbor(id, protocol(a), tcpip.AddrFromSlice(a.AsSlice()), tcpip.LinkAddress(mac[:]))
	}
	s.SetRouteTable(append(s.GetRouteTable(), tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: id}, tcpip.Route{Destination: header.IPv6EmptySubnet, NIC: id}))
	return nil
}

func protocol(a netip.Addr) tcpip.NetworkProtocolNumber {
	if a.Is4() {
		return header.IPv4ProtocolNumber
	}
	return header.IPv6ProtocolNumber
}
