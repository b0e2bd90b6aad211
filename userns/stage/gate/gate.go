// Package gate makes a stage wait for its ids before the rest of the program is
// initialised.
//
// A stage starts while the maps of its user namespace are still being written
// (see userns). Libraries ask at their own package init whether they are in a
// user namespace, umoci among them, and an empty map says no. Only the stage
// that unpacks cares, so only that one waits here; the others use the time.
//
// Like run/inside it imports next to nothing, which makes Go initialise it before
// those libraries.
package gate

import "syscall"

const (
	variable = "_RL_STAGE=unpack"
	socket   = 3
)

func init() {
	if e := syscall.Environ(); len(e) == 0 || e[0] != variable {
		return
	}
	var b [1]byte
	for {
		// The message stays where it is: userns.Join takes it.
		_, _, err := syscall.Recvfrom(socket, b[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return
		}
	}
}
