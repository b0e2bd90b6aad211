package probe

import (
	"errors"
	"fmt"
	"strings"

	"rl/userns/sys/fault"
)

// Rung names one way of doing a thing.
type Rung string

// The rungs of all ladders.
const (
	// identity
	Straight    Rung = "straight"
	Subordinate Rung = "subordinate"
	Single      Rung = "single"
	// network
	NetSlirp       Rung = "slirp" // the embedded stack
	NetHost        Rung = "host"
	NetNone        Rung = "none"
	NetNamed       Rung = "network" // the embedded stack, as a member of user-defined networks
	NetContainer   Rung = "container"
	NetPasta       Rung = "pasta"
	NetSlirp4netns Rung = "slirp4netns"
	// root filesystem
	Overlay     Rung = "kernel"
	FuseOverlay Rung = "fuse"
	Copy        Rung = "copy"
	// cgroup
	CgroupSystemd   Rung = "systemd"   // a scope of the service manager's
	CgroupDelegated Rung = "delegated" // a leaf of a cgroup that is the caller's
	CgroupNone      Rung = "none"
	// /proc
	ProcFresh Rung = "fresh"
	ProcBind  Rung = "bind"
	// directories
	DirRoot    Rung = "RL_ROOT"
	DirXDG     Rung = "xdg"
	DirHome    Rung = "home"
	DirVarTmp  Rung = "var-tmp"
	DirTmp     Rung = "tmp"
	DirRuntime Rung = "xdg-runtime"
)

// Choice is the rung that a ladder came to.
type Choice struct {
	Ladder string   `json:"ladder"` // "identity", "network", "cgroup", "proc", "rootfs", "store", "runtime"
	Rung   Rung     `json:"rung"`
	Reason string   `json:"reason"`
	Path   string   `json:"path,omitempty"` // the directory, for "store" and "runtime"
	Missed []Missed `json:"missed,omitempty"`
}

// Missed is a better rung that could not be had. Remedy is what to do about
// it: most often one line for an administrator to run.
type Missed struct {
	Rung   Rung   `json:"rung"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
}

func (c *Choice) miss(r Rung, reason, remedy string) {
	c.Missed = append(c.Missed, Missed{r, reason, remedy})
}

// pinned is the error for a rung that was asked for by name and cannot be had.
func (c Choice) pinned(flag string) error {
	m := c.Missed[len(c.Missed)-1]
	return fault.New(m.Remedy, "%s cannot be had: %s", flag, m.Reason)
}

// hint is the remedy that an error carries.
func hint(err error) string {
	var fe *fault.Error
	if errors.As(err, &fe) {
		return fe.Hint
	}
	return ""
}

func badPin(flag, pin string, known ...string) error {
	return fault.New("use one of: "+strings.Join(known, ", "), "unknown value %q for %s", pin, flag)
}

// Proc chooses how /proc of the container is made, by mounting one in a
// throw-away pid namespace: some milliseconds. A run does not call it, but
// mounts, and asks [ProcFrom] about the error.
func Proc(f *Facts, pin string) (Choice, error) {
	switch pin {
	case "", "auto", string(ProcFresh):
	case string(ProcBind):
		return Choice{Ladder: "proc", Rung: ProcBind, Reason: "asked for"}, nil
	default:
		return Choice{Ladder: "proc"}, badPin("the /proc rung", pin, "auto", "fresh", "bind")
	}
	c := ProcFrom(f.procOutcome().Err)
	if pin == string(ProcFresh) && c.Rung != ProcFresh {
		return c, c.pinned("a fresh /proc")
	}
	return c, nil
}

// ProcFrom chooses from what mount(2) of a new procfs said.
//
// The kernel refuses (EPERM) when parts of the outer /proc are covered by
// other mounts, as docker covers /proc/kcore: a fresh procfs would show what
// they hide (fs/namespace.c: mount_too_revealing).
func ProcFrom(err error) Choice {
	if err == nil {
		return Choice{Ladder: "proc", Rung: ProcFresh, Reason: "procfs can be mounted in a new pid namespace"}
	}
	c := Choice{Ladder: "proc", Rung: ProcBind, Reason: "the outer /proc is shown: process ids in it are the outer ones"}
	c.miss(ProcFresh, fmt.Sprintf("procfs cannot be mounted: %v; parts of the outer /proc are masked", err),
		"start the outer container with --security-opt unmask=ALL (podman) or systempaths=unconfined (docker)")
	return c
}

// asked says besides that a rung was asked for.
func asked(pin, reason string) string {
	if pin == "" || pin == "auto" {
		return reason
	}
	return "asked for; " + reason
}

// Rootfs chooses the driver of the root filesystem, by mounting a small
// overlay in the store's filesystem: some milliseconds. A run does not call
// it, but mounts.
func Rootfs(f *Facts, pin string) (Choice, error) {
	c := Choice{Ladder: "rootfs"}
	switch pin {
	case "", "auto", string(Overlay), string(FuseOverlay):
	case string(Copy):
		c.Rung, c.Reason = Copy, "asked for"
		return c, nil
	default:
		return c, badPin("--rootfs-driver", pin, "auto", "kernel", "fuse", "copy")
	}
	if pin != string(FuseOverlay) {
		out := f.overlayOutcome()
		if out.Err == nil {
			c.Rung, c.Reason = Overlay, asked(pin, "overlayfs can be mounted in a user namespace on the store's filesystem")
			return c, nil
		}
		reason, remedy := f.explainOverlay(out)
		c.miss(Overlay, reason, remedy)
		if pin == string(Overlay) {
			return c, c.pinned("--rootfs-driver kernel")
		}
	}
	own := f.checkFuse()
	if own.Status == StatusOK {
		c.Rung, c.Reason = FuseOverlay, asked(pin, "rl's own overlay is served through /dev/fuse, by each container's monitor")
		return c, nil
	}
	c.miss(FuseOverlay, own.Fact, own.Remedy)
	if pin == string(FuseOverlay) {
		return c, c.pinned("--rootfs-driver fuse")
	}
	c.Rung, c.Reason = Copy, "each container gets a copy of the image's files"
	return c, nil
}
