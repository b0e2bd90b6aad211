package probe

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const inside = unix.CLONE_NEWUSER | unix.CLONE_NEWNS

func (f *Facts) checkProc() Check {
	c := ProcFrom(f.procOutcome().Err)
	if c.Rung == ProcFresh {
		return ok("procfs can be mounted in a new pid namespace")
	}
	return missed("the outer /proc is shown in containers", c.Missed[0].Reason, c.Missed[0].Remedy)
}

func (f *Facts) checkOverlay() Check {
	o := f.overlayOutcome()
	if o.Err == nil {
		return ok("overlayfs works in a user namespace on the store's filesystem")
	}
	why, remedy := f.explainOverlay(o)
	return missed("overlayfs cannot be used", why, remedy)
}

// checkMountAPI tells which of the calls that replace mount(2) are there. None
// is needed; with "lowerdir+" (Linux 6.8) the number of layers has no limit
// but the kernel's 500.
func (f *Facts) checkMountAPI() Check {
	o := f.h.Try(Trial{Name: "mount-api", Map: true, Flags: inside})
	if o.Err != nil {
		return info("not all there: " + o.Step + ": " + errText(o.Err))
	}
	return ok("open_tree, mount_setattr, fsopen with lowerdir+")
}

func (f *Facts) checkFuse() Check {
	dir, err := os.MkdirTemp("", "rl-probe-")
	if err != nil {
		return missed("not tried", err.Error(), "")
	}
	defer os.Remove(dir)
	o := f.h.Try(Trial{Name: "fuse", Args: []string{dir}, Map: true, Flags: inside})
	return f.device("/dev/fuse", "fuse", o, "FUSE filesystems can be mounted in a user namespace")
}

func (f *Facts) checkTun() Check {
	o := f.h.Try(Trial{Name: "tun", Map: true, Flags: inside | unix.CLONE_NEWNET})
	return f.device(tunPath, "tun", o, "tap devices can be made in a network namespace")
}

// device explains the outcome of a trial with a device node.
func (f *Facts) device(path, module string, o Outcome, fine string) Check {
	fact := path + " cannot be used: " + o.Step
	switch {
	case o.Err == nil:
		return ok(fine)
	case o.Step == "start" || o.Step == "mount" || o.Step == "map" || o.Step == "child":
		return missed(fact, errText(o.Err), "")
	case o.Step == "open" || errors.Is(o.Err, unix.ENOENT) || errors.Is(o.Err, unix.ENXIO) || errors.Is(o.Err, unix.ENODEV):
		reason, remedy := f.explainDevice(path, module, o.Err)
		return missed(fact, reason, remedy)
	}
	return missed(fact, errText(o.Err), "")
}

func (f *Facts) checkSeccomp() Check {
	o := f.h.Try(Trial{Name: "seccomp"})
	switch {
	case o.Err == nil:
		return ok("filters and user notification")
	case errors.Is(o.Err, unix.EBUSY):
		return missed("filters, without user notification", "an outer container listens already, and the kernel allows one listener", "")
	case errors.Is(o.Err, unix.EINVAL): // Linux < 5.0 (6a21cc50f0c7)
		return missed("filters, perhaps; no user notification", "this kernel does not know it, or has no seccomp filters", "boot Linux 5.0 or later with CONFIG_SECCOMP_FILTER")
	case errors.Is(o.Err, unix.ENOSYS):
		return missed("not available", "this kernel was built without it", "boot a kernel with CONFIG_SECCOMP_FILTER")
	}
	return missed("not available", o.Step+": "+errText(o.Err), "")
}
