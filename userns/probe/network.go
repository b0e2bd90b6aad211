package probe

import (
	"errors"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// defaultNetwork is the rung that a run climbs to which says nothing of its
// network.
const defaultNetwork = NetSlirp

const tunPath = "/dev/net/tun"

// Network chooses how the container reaches the network. pin is the mode of
// --network: "" and "auto", or a rung; "slirp" and "network" need the embedded
// stack, "pasta" and "slirp4netns" a program. Only a run that asks for nothing
// gets another rung than it asks for, see [Choice.Notice].
func Network(f *Facts, pin string) (Choice, error) { return f.network(pin, defaultNetwork) }

func (f *Facts) network(pin string, aim Rung) (Choice, error) {
	c := Choice{Ladder: "network", Rung: Rung(pin), Reason: "asked for"}
	switch c.Rung {
	case "", "auto":
		return f.anyNetwork(aim), nil
	case NetHost, NetNone, NetContainer:
		return c, nil
	case NetSlirp, NetNamed:
		if err := f.Tun(); err != nil {
			reason, remedy := f.explainDevice(tunPath, "tun", err)
			c.miss(c.Rung, reason, remedy)
			return c, c.pinned("--network " + pin)
		}
		return c, nil
	case NetPasta, NetSlirp4netns:
		path, ok := f.lookPath(pin)
		if !ok {
			c.miss(c.Rung, pin+" is not installed", f.installNetwork(c.Rung))
			return c, c.pinned("--network " + pin)
		}
		c.Path = path
		return c, nil
	case "ns":
		return c, fault.New("use --network container:NAME, host or slirp", "--network ns: this version of rl cannot do that yet")
	}
	return c, badPin("--network", pin, "slirp", "host", "none", "pasta", "slirp4netns", "container:NAME")
}

// anyNetwork is the best one there is, up to the one aimed at.
func (f *Facts) anyNetwork(aim Rung) Choice {
	c := Choice{Ladder: "network", Rung: NetHost, Reason: "the container shares the host's network"}
	if aim != NetSlirp {
		return c
	}
	if err := f.Tun(); err != nil {
		reason, remedy := f.explainDevice(tunPath, "tun", err)
		c.miss(NetSlirp, reason, remedy)
		return c
	}
	c.Rung, c.Reason = NetSlirp, "a user-mode network of the container's own, over a tap device"
	return c
}

// Notice is what a run tells of a rung that was missed, "" when nothing was.
func (c Choice) Notice() string {
	if c.Ladder != "network" || len(c.Missed) == 0 {
		return ""
	}
	return "no user-mode network: " + c.Missed[0].Reason + "; --network host is used"
}

// Tun tells why /dev/net/tun cannot be opened, nil when it can. What the
// container's user namespace makes of it, only the check "tun" can tell.
func (f *Facts) Tun() error {
	return f.tun.get(func() error { return f.h.Open(tunPath) })
}

// explainDevice says why a device cannot be opened, and what would help.
func (f *Facts) explainDevice(path, module string, err error) (reason, remedy string) {
	switch {
	case errors.Is(err, unix.ENOENT):
		return path + " does not exist", "modprobe " + module + ", or give the outer container --device " + path
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return "the kernel has no driver for " + path, "modprobe " + module
	case errors.Is(err, unix.EACCES):
		return f.User() + " may not open " + path, "chmod 0666 " + path + " (and a udev rule, to keep it)"
	case errors.Is(err, unix.EPERM):
		return "the device cgroup of an outer container forbids " + path, "give the outer container --device " + path
	}
	return path + " cannot be opened: " + errText(err), ""
}

// installNetwork is the line that installs a program for the network.
func (f *Facts) installNetwork(r Rung) string {
	name := map[Rung]string{NetPasta: "passt", NetSlirp4netns: "slirp4netns"}[r]
	return f.install(name, "install the package "+name)
}
