// Package probe finds out what this machine offers a person without root, and
// says what it went without. The ladders of a run, `rl doctor` and the skips
// of tests all ask here, so that they can never disagree.
//
// There are three kinds of thing:
//
//	Facts    what is so. Each is a method that looks when it is first asked
//	         and remembers; a run pays only for what it needs.
//	Choices  pure functions from facts to a rung of a ladder, with the reason,
//	         and with every better rung that was missed, why, and its remedy.
//	Checks   facts that only a trial can tell. They make the real system call
//	         in a throw-away child and are for the doctor and for tests.
//
// A trial re-executes this binary as a stage, because a Go program cannot
// enter a user namespace (it has threads) and must not fork without exec:
//
//	doctor ── fork(namespaces), exec ──▶ ["rl","__probe",NAME,ARGS...]  = [Main]
//	       ◀── one line of JSON on stdout, then exit ──
//
// Everything is read through a [Host], a struct of functions whose zero value
// is the real machine. Tests replace one function or the root directory and so
// force every missed rung and every message.
//
// What it refuses to do: it changes nothing on the host (except claiming a
// private directory in /tmp or /var/tmp when there is no better place, and
// temporary files it removes), prints nothing, and decides by trying; kernel
// versions are shown, never compared.
package probe
