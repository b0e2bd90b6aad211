// Package fstest is the one suite that every way to build a container's root
// filesystem passes: the kernel's overlayfs, the FUSE overlay, the copy.
//
// What it expects is written from POSIX and from the rules that the kernel
// documents for its overlayfs (Documentation/filesystems/overlayfs.rst), not from what
// one implementation happens to do. Where a driver is known to fall short, its
// own table of [Options.Except] says so, case by case with the reason; a case
// that is excepted and passes is a failure too, so that the table stays true.
//
// A case is data and a function:
//
//	{"whiteout/hides a file",
//		Layers{{Whiteout("f")}, {File("f", "below")}},   // topmost first
//		func(c *C) { c.absent("f"); c.names("") }},
//
// The harness builds the layers, mounts them, runs the function, unmounts, and
// checks that no layer below was changed: contents, attributes, xattrs, ctime.
//
//	go test (root)
//	 ├─ as user rlsub ─ user namespace, subordinate ids ─┐   every case once as root of the
//	 └─ as user rlone ─ user namespace, one id ──────────┴─▶ namespace, once without privilege
//
// [Main] is that climb: tests mean something only where the product runs, inside
// a user namespace of an ordinary user. A skip prints its reason, and is a failure
// when RL_TEST_REQUIRE is set.
//
// The room knows no driver: a [Mount] function is given to [Run].
package fstest
