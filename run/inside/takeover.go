// Package inside is init: the process that becomes the container's workload.
//
// It is started by the monitor in fresh namespaces, reads a [program.Program],
// executes its list of operations on the root file system, makes that its root,
// gives up what the workload must not have, and calls execve(2). After that
// nothing of rl is left in the container.
//
// It takes over in this package's init function, when a dozen of the two hundred
// packages of the binary are initialised, which makes every start about 1.5 ms
// shorter; hence it imports only what userns/sys/raw explains.
//
//	monitor                                init
//	   │ clone(NEWPID|NEWIPC|NEWUTS|…) ─────▶ │  fd 3 socket
//	   │ mounts the root file system          │  Go runtime starts
//	   │ ── G [program] ────────────────────▶ │  unshare(NEWNS), operations, pivot_root
//	   │ ◀───────────────────── N text ────── │  something was gone without
//	   │ ◀───────────────────── P [fd] ────── │  the pseudo-terminal's master
//	   │ ◀───────────────────── L [fd] ────── │  the seccomp listener
//	   │ ◀────────── E code text, or EOF ──── │  a failure, or execve succeeded
//
// For `rl exec` the same process enters the namespaces of a container instead of
// setting some up, becomes the user, and forks the program there (see join.go).
package inside

import "syscall"

// Stage is the value of the stage variable (see userns/stage) that starts init,
// and StageReaper that of run/inside/reaper.
const (
	Stage       = "init"
	StageReaper = "reaper"

	stageVariable = "_RL_STAGE="
)

// The messages of the socket, by their first byte.
const (
	MsgGo       = 'G'
	MsgNotice   = 'N'
	MsgTerminal = 'P'
	MsgListener = 'L'
	MsgError    = 'E' // then one byte of exit status and the text
	MsgRunning  = 'R' // of one that joined: its program was executed; then its number, outside of the container
	MsgExit     = 'X' // and ended, with this exit status
)

// Descriptors donated to init. FdExe, this program on a read-only mount, is
// there when a reaper was asked for.
const (
	FdSocket = 3
	FdExe    = 4
	FdJoin   = 4 // or the pidfd of a container's first process, of who is to join that
)

func init() {
	if e := syscall.Environ(); len(e) > 0 && e[0] == stageVariable+Stage {
		syscall.Exit(int(start()))
	}
}
