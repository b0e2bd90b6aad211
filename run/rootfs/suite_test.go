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
		tree := Tree{Lowers: dirs.Lowers, Upper: dirs.Upper, Work: dirs.Work, Target: dirs.Target, ReadOnly: dirs.ReadOnly}
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
	fstest.Run(t, mounter(&Kernel{}), fstest.Options{Except: kernelExceptions})
}

func TestCopyPassesSuite(t *testing.T) {
	fstest.Run(t, mounter(&Copy{}), fstest.Options{})
}

var kernelExceptions = map[string]string{}
