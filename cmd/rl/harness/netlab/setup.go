package netlab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// What ip(8) is told. The other host is also the router to everywhere, with
// nowhere to route to.
const (
	linkHere = `
link set lo up
link add eth0 type veth peer name eth0 netns %d
link set eth0 up
addr add 192.0.2.1/24 dev eth0
addr add 127.0.0.53/32 dev lo
route add default via 192.0.2.2`
	linkHere6 = `
addr add 2001:db8::1/64 dev eth0 nodad
route add default via 2001:db8::2`
	linkThere = `
link set lo up
addr add 192.0.2.2/24 dev eth0
addr add 192.0.2.3/24 dev eth0
addr add 192.0.2.4/24 dev eth0
addr add 169.254.169.254/32 dev lo
addr add fd00:ec2::254/128 dev lo
addr add 2001:db8::2/64 dev eth0 nodad
addr add 2001:db8::3/64 dev eth0 nodad
link set eth0 up
route add unreachable 198.51.100.0/24
route add blackhole 198.51.101.0/24
route add unreachable 2001:db8:100::/48
route add blackhole 2001:db8:101::/48`
)

// The servers that every lab has, by the ports that such services have.
var (
	serversThere = []string{
		"http=:80", "echo=:7", "sum=:9", "whoami=:13", "source=:19",
		"mute=:81", "reset=:82", "half=:83", "full=192.0.2.2:84",
		"dns=192.0.2.2:53", "dns=[2001:db8::2]:53", "mute=192.0.2.3:53", // 192.0.2.4 has no resolver
	}
	serversHere = []string{"http=:80", "echo=:7", "whoami=:13", "dns=127.0.0.53:53"}
)

func (k *keeper) setup(s setup) (err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return os.NewSyscallError("mount /", err)
	}
	if err := files(s); err != nil {
		return err
	}
	if k.here, err = newHost("here", false); err != nil {
		return err
	}
	if k.there, err = newHost("there", true); err != nil {
		return fmt.Errorf("a network namespace: %w", err)
	}
	here, there := linkHere, linkThere
	if !s.NoIPv6 {
		here += linkHere6
	}
	const noDAD = "net/ipv6/conf/default/accept_dad 0" // which would take a second
	sysctls := []string{
		"net/ipv4/tcp_syn_retries 1", // a drop is known in seconds
		noDAD,
	}
	if s.NoIPv6 {
		sysctls = append(sysctls, "net/ipv6/conf/all/disable_ipv6 1", "net/ipv6/conf/default/disable_ipv6 1")
	}
	if !s.NoPing {
		sysctls = append(sysctls, fmt.Sprintf("net/ipv4/ping_group_range %d %d", s.GID, s.GID))
	}
	if err := k.here.on(func() error { return set(sysctls) }); err != nil {
		return err
	}
	if err := k.there.on(func() error {
		return set([]string{noDAD, "net/ipv4/ip_forward 1", "net/ipv6/conf/all/forwarding 1", "net/ipv4/icmp_ratelimit 0", "net/ipv6/icmp/ratelimit 0"})
	}); err != nil {
		return err
	}
	if _, err := k.here.run(fmt.Sprintf(here, k.there.tid), "ip", "-batch", "-"); err != nil {
		return err
	}
	if _, err := k.there.run(there, "ip", "-batch", "-"); err != nil {
		return err
	}
	for _, spec := range serversThere {
		if err := k.serve(k.there, spec); err != nil {
			return err
		}
	}
	for _, spec := range serversHere {
		if err := k.serve(k.here, spec); err != nil {
			return err
		}
	}
	if s.Relay == "" {
		return nil
	}
	return k.relay(s.Dir, s.Relay)
}

// set writes kernel parameters of the thread's namespace.
func set(parameters []string) error {
	for _, p := range parameters {
		name, value, _ := strings.Cut(p, " ")
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
			return err
		}
	}
	return nil
}

// files gives this host a resolv.conf of its own; and, as the machine's setuid
// programs do nothing here and its grants are for other numbers, programs and
// files for subordinate ids.
func files(s setup) error {
	if err := bind(filepath.Join(s.Dir, "resolv.conf"), "/etc/resolv.conf"); err != nil {
		return err
	}
	dir := filepath.Join(s.Dir, "mnt")
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
		return os.NewSyscallError("mount tmpfs", err)
	}
	for _, name := range []string{"subuid", "subgid"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(s.Subuid), 0o644); err != nil {
			return err
		}
		if err := bind(file, "/etc/"+name); err != nil && s.Mapped {
			return err
		}
	}
	if !s.Mapped {
		return nil
	}
	for _, name := range []string{"newuidmap", "newgidmap"} {
		program, err := os.ReadFile("/usr/bin/" + name)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, program, 0o755); err != nil {
			return err
		}
		if err := os.Chown(file, 0, 0); err != nil {
			return err
		}
		if err := os.Chmod(file, 0o755|os.ModeSetuid); err != nil {
			return err
		}
		if err := bind(file, "/usr/bin/"+name); err != nil {
			return err
		}
	}
	return nil
}

func bind(file, over string) error {
	if err := unix.Mount(file, over, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s over %s: %w", file, over, err)
	}
	return nil
}

// relay listens where the test's registry listens outside.
func (k *keeper) relay(dir, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	return k.here.on(func() error {
		for _, host := range []string{"127.0.0.1", "::1"} {
			l, err := net.Listen("tcp", net.JoinHostPort(host, port))
			if err != nil && host == "::1" {
				return nil // no IPv6 here
			}
			if err != nil {
				return err
			}
			go func() {
				for {
					c, err := l.Accept()
					if errors.Is(err, net.ErrClosed) {
						return
					}
					if err != nil { // for want of descriptors or memory, which may pass
						time.Sleep(10 * time.Millisecond)
						continue
					}
					go pipe(c, func() (net.Conn, error) { return net.Dial("unix", filepath.Join(dir, "relay")) })
				}
			}()
		}
		return nil
	})
}
