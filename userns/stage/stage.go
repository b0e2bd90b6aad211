// Package stage is how one binary is several programs.
//
// rl executes itself in other places: in a new user namespace (the monitor, the
// unpacking of a layer), in the container's namespaces (init). Such a process
// has argv ["rl", "__monitor"], so that ps shows what it is, and is recognised by
// its first environment variable. The table of stages stands in main, where a
// reader looks for it. One stage, init, takes over earlier (see run/inside).
package stage

import (
	"os"
	"strings"
)

// Variable names the environment variable that selects a stage. It comes first
// in the environment of a stage and is never handed to a workload.
const Variable = "_RL_STAGE"

// OneProcessor, in the environment of a stage that waits more than it computes,
// spares it the threads that Go would start, and end, for the others.
const OneProcessor = "GOMAXPROCS=1"

// Env is the whole environment of a process that becomes the stage, but for what
// extra adds.
func Env(name string, extra ...string) []string {
	return append([]string{Variable + "=" + name}, extra...)
}

// Argv is the argument vector of such a process.
func Argv(name string, args ...string) []string {
	return append([]string{"rl", "__" + name}, args...)
}

// Dispatch runs the stage that this process was started as and exits with its
// status. It returns when the process is no stage but the command line.
func Dispatch(table map[string]func() int) {
	env := os.Environ()
	if len(env) == 0 {
		return
	}
	name, ok := strings.CutPrefix(env[0], Variable+"=")
	if !ok || len(os.Args) < 2 || os.Args[1] != "__"+name {
		return
	}
	body, ok := table[name]
	if !ok {
		os.Stderr.WriteString("rl: unknown stage " + name + "\n")
		os.Exit(125)
	}
	os.Exit(body())
}
