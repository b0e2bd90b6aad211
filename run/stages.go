package run

import (
	"fmt"
	"os"

	"rl/oci/unpack"
	"rl/run/carry"
	"rl/run/rootfs"
	"rl/userns"
)

// Stages that do the engine's work in a user namespace.
const (
	StageUnpack = "unpack"
	StageRemove = "remove"
	StageCarry  = carry.Stage
)

// UnpackMain is the stage that unpacks one layer (see oci/unpack).
func UnpackMain() int {
	if _, err := userns.Join(); err != nil {
		return fail(err)
	}
	return unpack.Main()
}

// RemoveMain is the stage that deletes the trees named in its arguments.
func RemoveMain() int {
	if _, err := userns.Join(); err != nil {
		return fail(err)
	}
	for _, path := range os.Args[2:] {
		if err := rootfs.RemoveAll(path); err != nil {
			return fail(err)
		}
	}
	return 0
}

// CarryMain is the stage that reads and writes a container's files (see run/carry).
func CarryMain() int { return carry.Main() }

// fail tells the parent, which reads a stage's standard error.
func fail(err error) int {
	fmt.Fprint(os.Stderr, err)
	return 1
}
