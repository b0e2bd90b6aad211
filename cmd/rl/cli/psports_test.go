package cli

import (
	"net/netip"
	"testing"

	"rl/run/state"
)

func TestPortColumn(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	for _, c := range []struct {
		ports   []state.PublishedPort
		exposed []string
		want    string
	}{
		{want: ""},
		{exposed: []string{"80/tcp"}, want: "80/tcp"},
		{exposed: []string{"8001/tcp", "8000", "53/udp", "nonsense"}, want: "53/udp, 8000-8001/tcp"},
		{ports: []state.PublishedPort{{Proto: "tcp", HostPort: 8080, ContainerPort: 80}}, exposed: []string{"80", "443"},
			want: "443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"},
		{ports: []state.PublishedPort{{Proto: "tcp", HostIP: local, HostPort: 80, ContainerPort: 80}, {Proto: "tcp", HostIP: local, HostPort: 81, ContainerPort: 81},
			{Proto: "tcp", HostIP: local, HostPort: 90, ContainerPort: 90}}, want: "127.0.0.1:80-81->80-81/tcp, 127.0.0.1:90->90/tcp"},
		{ports: []state.PublishedPort{{Proto: "udp", HostPort: 53, ContainerPort: 53}}, want: "0.0.0.0:53->53/udp, [::]:53->53/udp"},
		{ports: []state.PublishedPort{{Proto: "tcp", HostPort: 53, ContainerPort: 53}, {Proto: "udp", HostPort: 53, ContainerPort: 53}},
			want: "0.0.0.0:53->53/tcp, [::]:53->53/tcp, 0.0.0.0:53->53/udp, [::]:53->53/udp"},
	} {
		if got := portColumn(shownPorts(&state.Record{Ports: c.ports, Exposed: c.exposed})); got != c.want {
			t.Errorf("%v, %q:\n%s, not\n%s", c.ports, c.exposed, got, c.want)
		}
	}
}
