// Package reaper is pid 1 of a container that was asked one for (--init).
//
// It is an ordinary process of the container, with its user, capabilities and
// filters: init executes it, from a read-only mount of rl's own binary, in place
// of the workload. It starts the workload, hands signals on to it, waits for
// every orphan, and ends as the workload does.
package reaper

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Main is the stage's main function; the arguments are the program's path and
// its argv, the environment is the workload's.
func Main() int {
	if len(os.Args) < 4 {
		return 125
	}
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	foreground := isTerminal(0)
	pid, err := syscall.ForkExec(os.Args[2], os.Args[3:], &syscall.ProcAttr{
		Env:   environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Foreground: foreground, Ctty: 0},
	})
	if err != nil {
		os.Stderr.WriteString("rl: exec " + os.Args[2] + ": " + err.Error() + "\n")
		if err == syscall.ENOENT {
			return 127
		}
		return 126
	}
	go forward(signals, pid)
	return wait(pid)
}

func forward(signals <-chan os.Signal, pid int) {
	for s := range signals {
		switch s := s.(syscall.Signal); s {
		case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGTTOU, syscall.SIGTTIN:
		default:
			syscall.Kill(pid, s)
		}
	}
}

// wait reaps children, adopted ones included, until the workload has ended.
func wait(pid int) int {
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR || err == nil && got != pid:
		case err != nil:
			return 125
		case ws.Signaled():
			return 128 + int(ws.Signal())
		case ws.Exited():
			return ws.ExitStatus()
		}
	}
}

// environ is the workload's environment: all but the variable of the stage.
func environ() []string {
	if e := os.Environ(); len(e) > 0 {
		return e[1:]
	}
	return nil
}

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}
