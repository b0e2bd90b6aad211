package option_test

import (
	"net/netip"
	"testing"

	"rl/run/plan/option"
)

func TestParsePublish(t *testing.T) {
	lo, lo6 := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")
	list := func(p ...option.Publish) []option.Publish { return p }
	table(t, option.ParsePublish, []row[[]option.Publish]{
		{in: "80", want: list(option.Publish{Proto: "tcp", ContainerPort: 80})},
		{in: ":80", want: list(option.Publish{Proto: "tcp", ContainerPort: 80})},
		{in: "0:80", want: list(option.Publish{Proto: "tcp", ContainerPort: 80})},
		{in: "8080:80", want: list(option.Publish{Proto: "tcp", HostPort: 8080, HostEnd: 8080, ContainerPort: 80})},
		{in: "5353:53/UDP", want: list(option.Publish{Proto: "udp", HostPort: 5353, HostEnd: 5353, ContainerPort: 53})},
		{in: "127.0.0.1:8080:80", want: list(option.Publish{Proto: "tcp", HostIP: lo, HostPort: 8080, HostEnd: 8080, ContainerPort: 80})},
		{in: "127.0.0.1::80", want: list(option.Publish{Proto: "tcp", HostIP: lo, ContainerPort: 80})},
		{in: "[::1]:8080:80", want: list(option.Publish{Proto: "tcp", HostIP: lo6, HostPort: 8080, HostEnd: 8080, ContainerPort: 80})},
		{in: "[::1]::80", want: list(option.Publish{Proto: "tcp", HostIP: lo6, ContainerPort: 80})},
		{in: "[::ffff:127.0.0.1]:1:80", want: list(option.Publish{Proto: "tcp", HostIP: lo, HostPort: 1, HostEnd: 1, ContainerPort: 80})},
		{in: "::80", want: list(option.Publish{Proto: "tcp", ContainerPort: 80})},
		{in: "80-81", want: list(option.Publish{Proto: "tcp", ContainerPort: 80}, option.Publish{Proto: "tcp", ContainerPort: 81})},
		{in: "8080-8081:80-81/tcp", want: list(option.Publish{Proto: "tcp", HostPort: 8080, HostEnd: 8080, ContainerPort: 80},
			option.Publish{Proto: "tcp", HostPort: 8081, HostEnd: 8081, ContainerPort: 81})},
		{in: "8080-8090:80", want: list(option.Publish{Proto: "tcp", HostPort: 8080, HostEnd: 8090, ContainerPort: 80})},
		{in: "65535:65535", want: list(option.Publish{Proto: "tcp", HostPort: 65535, HostEnd: 65535, ContainerPort: 65535})},

		{in: "", err: "no port specified", hint: "8080:80"},
		{in: "80:", err: "no port specified"},
		{in: "0", err: "invalid containerPort"},
		{in: "80:0", err: "invalid containerPort"},
		{in: "x", err: `invalid containerPort: "x"`},
		{in: "80:65536", err: "invalid containerPort"},
		{in: "81-80", err: "invalid containerPort"},
		{in: "-80", err: "invalid containerPort"},
		{in: "+80", err: "invalid containerPort"},
		{in: "80-", err: "invalid containerPort"},
		{in: "x:80", err: `invalid hostPort: "x"`},
		{in: "70000:80", err: "invalid hostPort"},
		{in: "0-9:80", err: "invalid hostPort"},
		{in: "8080:80-81", err: `invalid ranges specified for container and host Ports: "80-81" and "8080"`},
		{in: "8080-8082:80-81", err: "invalid ranges"},
		{in: "localhost:80:80", err: `invalid IP address: "localhost"`},
		{in: "::1:80:80", err: `invalid IP address: "::1"`},
		{in: "[127.0.0.1]:80:80", err: "invalid IP address"},
		{in: "[fe80::1%eth0]:80:80", err: "invalid IP address"},
		{in: "256.0.0.1:80:80", err: "invalid IP address"},
		{in: "80/sctp", err: "sctp is not supported"},
		{in: "80/icmp", err: `invalid proto: "icmp"`},
		{in: "80/", err: "invalid proto"},
		{in: "80/tcp/udp", err: "invalid proto"},
	})
}

func TestParseExpose(t *testing.T) {
	table(t, option.ParseExpose, []row[[]option.Port]{
		{in: "80", want: []option.Port{{Proto: "tcp", Port: 80}}},
		{in: "53/udp", want: []option.Port{{Proto: "udp", Port: 53}}},
		{in: "80-81/tcp", want: []option.Port{{Proto: "tcp", Port: 80}, {Proto: "tcp", Port: 81}}},
		{in: "80:80", err: "invalid port format", hint: "-p"},
		{in: "", err: "invalid range format"},
		{in: "0", err: "invalid range format"},
		{in: "81-80", err: "invalid range format"},
		{in: "80/x", err: "invalid proto"},
	})
	table(t, option.ParsePort, []row[option.Port]{
		{in: "53/udp", want: option.Port{Proto: "udp", Port: 53}},
		{in: "80-81", err: "not a range"},
		{in: "x", err: "invalid range format"},
	})
}
