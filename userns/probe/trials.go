package probe

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The trials whose outcome more than one reader wants are made once.

// usernsOutcome tries a user namespace: first the namespace alone, then with
// a map and a use of its capabilities, so that a refusal of each is told apart.
func (f *Facts) usernsOutcome() Outcome {
	return f.usernsTry.get(func() Outcome {
		if o := f.h.Try(Trial{Name: "true", Flags: unix.CLONE_NEWUSER}); o.Err != nil {
			return o
		}
		o := f.h.Try(Trial{Name: "caps", Flags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, Map: true})
		if o.Step == "start" {
			o.Step = "map"
		}
		return o
	})
}

func (f *Facts) procOutcome() Outcome {
	return f.procTrial.get(func() Outcome {
		return f.h.Try(Trial{Name: "proc", Map: true, Flags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID})
	})
}

// overlayOutcome mounts a small overlay in the store's filesystem.
func (f *Facts) overlayOutcome() Outcome {
	return f.ovlTrial.get(func() Outcome {
		c, err := Store(f)
		if err != nil {
			return Outcome{Step: "store", Err: err}
		}
		dir, err := f.scratch(c.Path)
		if err != nil {
			return Outcome{Step: "store", Err: err}
		}
		if err := overlayTree(dir); err != nil {
			return Outcome{Step: "store", Err: errors.Join(err, os.RemoveAll(dir))}
		}
		o := f.h.Try(Trial{Name: "overlay", Args: []string{dir}, Map: true, Flags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS})
		// The kernel makes work/work with mode 0, which RemoveAll cannot enter.
		_ = os.Chmod(filepath.Join(dir, "work/work"), 0o700)
		if err := os.RemoveAll(dir); err != nil && o.Err == nil {
			o = Outcome{Step: "clean up", Err: err}
		}
		return o
	})
}

// scratch makes a temporary directory in dir or, when that does not exist
// yet, in the nearest directory above it that does.
func (f *Facts) scratch(dir string) (string, error) {
	at, _, err := f.statfsUp(dir)
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(filepath.Join(f.h.Root, at), ".rl-probe-")
}
