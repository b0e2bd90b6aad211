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

func TestKernelPassesSuite(t *testing.T) {
	t.Parallel()
	fstest.Run(t, mounter(&Kernel{}), fstest.Options{Except: kernelExceptions})
}

func TestCopyPassesSuite(t *testing.T) {
	t.Parallel()
	fstest.Run(t, mounter(&Copy{}), fstest.Options{})
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
