package rootfs

import (
	"testing"

	"rl/fuse/fstest"
)

// Every test of this package runs in user namespaces of ordinary users.
func TestMain(m *testing.M) { fstest.Main(m) }

// mounter gives a driver to the suite.
func mounter(d Driver) fstest.Mount {
	return func(t testing.TB, dirs fstest.Dirs) (string, func()) {
		tree := Tree{Lowers: dirs.Lowers, Upper: dirs.Upper, Work: dirs.Work, Target: dirs.Target, ReadOnly: dirs.ReadOnly, Volatile: true}
		var unmount func() error
		mount := func() {
			var err error
			if unmount, err = d.Mount(tree); err != nil {
				t.Fatalf("mount: %v", err)
			}
		}
		mount()
		t.Cleanup(func() {
			if err := unmount(); err != nil {
				t.Errorf("unmount: %v", err)
			}
		})
		return tree.Target, func() {
			if err := unmount(); err != nil {
				t.Errorf("unmount: %v", err)
			}
			mount()
		}
	}
}

// onDisk is the whole suite on a disk once, with subordinate ids. A namespace of a
// single id differs in owners and capabilities, not in what a disk does: there
// the whole suite runs on tmpfs, and on the disk what copies files up.
func onDisk(t *testing.T) fstest.Options {
	o := fstest.Options{Base: fstest.DiskDir(t)}
	if fstest.SingleID(t) {
		o.Only = "copy-up/"
	}
	return o
}

func TestKernelPassesSuite(t *testing.T) {
	t.Parallel()
	o := onDisk(t)
	o.Except = kernelExceptions
	fstest.Run(t, mounter(&Kernel{}), o)
}

func TestCopyPassesSuite(t *testing.T) {
	t.Parallel()
	fstest.Run(t, mounter(&Copy{}), onDisk(t))
}

// Overlayfs has quirks that depend on the filesystem below it.
func TestKernelPassesSuiteOnTmpfs(t *testing.T) {
	t.Parallel()
	fstest.Run(t, mounter(&Kernel{}), fstest.Options{Base: fstest.TmpfsDir(t), Except: kernelExceptions})
}

func TestCopyPassesSuiteOnTmpfs(t *testing.T) {
	t.Parallel()
	fstest.Run(t, mounter(&Copy{}), fstest.Options{Base: fstest.TmpfsDir(t)})
}
