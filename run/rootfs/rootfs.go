// Package rootfs puts a container's root filesystem together: read-only layers
// below, one writable directory on top.
//
//	       what the container sees  = Target
//	┌─────────────────────────────┐
//	│ Upper   changes go here     │  Work: scratch beside it
//	├─────────────────────────────┤
//	│ Lowers[0]   topmost layer   │  shared by containers,
//	│ Lowers[1]                   │  never written
//	│ …                           │
//	└─────────────────────────────┘
//
// Layers are in the format of the kernel's overlayfs with the userxattr option:
// a whiteout is a character device 0:0 (or an empty file with the xattr
// user.overlay.whiteout in a directory whose user.overlay.opaque is "x"), and an
// opaque directory has user.overlay.opaque=y. See the kernel's
// Documentation/filesystems/overlayfs.rst.
//
// A [Driver] is one way to do that. They all pass the same suite, fuse/fstest,
// and stand on a ladder that [Choose] builds: the kernel's overlayfs, then
// rl's own on FUSE, then a plain copy. A rung is tried by mounting with it, never by a probe.
//
// Everything here runs inside the container's user and mount namespaces, with
// all capabilities there. The room mounts, copies and deletes trees. It does
// not know images, decides no paths, and makes no namespaces.
package rootfs

import (
	"errors"

	"rl/userns/idmap"
)

// Tree is what a root filesystem is made of. Paths are absolute.
type Tree struct {
	Lowers []string // topmost first, at least one; never written to
	Upper  string   // takes the changes; "" only with ReadOnly
	Work   string   // beside Upper, on the same filesystem; a driver's own scratch

	ReadOnly bool // the mount refuses writes
	Volatile bool // nothing needs to survive a power failure: no syncing (--rm)

	// Maps is nil, or has for each of Lowers the id map it was written under, as this namespace
	// sees it; the zero map is for one of this namespace's own. Only [Fuse] can do that.
	Maps []idmap.Map `json:",omitempty"`

	Target string // an existing directory to mount on
}

// Driver is one way to put a Tree together.
type Driver interface {
	// Name is what --rootfs-driver and rl doctor call it.
	Name() string
	// Mount makes t.Target the root of the tree. An error that wraps
	// [ErrRefused] means that this machine cannot do it this way, and another
	// driver may. Nothing stays mounted after an error. unmount may be called
	// once; mounts also go away with their mount namespace.
	Mount(t Tree) (unmount func() error, err error)
}

// ErrRefused marks the errors after which the next rung of the ladder is tried:
// the kernel or the filesystem does not offer what the driver is built on.
var ErrRefused = errors.New("not available here")

// refused is an error with its own words that also is ErrRefused.
type refused struct{ error }

func (r refused) Unwrap() []error { return []error{r.error, ErrRefused} }
