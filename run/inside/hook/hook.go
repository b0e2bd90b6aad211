// Package hook runs OCI hooks: programs that a runtime calls at points of a container's life,
// with the container's state as their input (runtime-spec, config.md "POSIX-platform Hooks").
// It is part of init, and imports next to nothing.
package hook

import (
	"syscall"

	"rl/run/inside/program"
)

// kept is how much of a hook's output an error shows.
const kept = 4096

// State is what a hook reads: head is the beginning of the JSON object, up to a comma, that
// does not change in a container's life.
func State(head, status string, pid int) []byte {
	return append([]byte(head), `"status":"`+status+`","pid":`+itoa(pid)+`}`...)
}

// Run runs one hook to its end and gives "", or why it failed. When stop says so, or its time is
// over, it is killed with its process group.
func Run(h *program.Hook, state []byte, stop func() bool) string {
	in, out, why := pipes(state)
	if why != "" {
		return why
	}
	defer syscall.Close(out[0])
	args := h.Args
	if len(args) == 0 {
		args = []string{h.Path}
	}
	pid, err := syscall.ForkExec(h.Path, args, &syscall.ProcAttr{
		Dir: "/", Env: h.Env, Files: []uintptr{uintptr(in), uintptr(out[1]), uintptr(out[1])}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	syscall.Close(in)
	syscall.Close(out[1])
	if err != nil {
		return err.Error()
	}
	var text []byte
	var status syscall.WaitStatus
	why = ""
	begin := seconds()
	for pause := int64(100_000); ; pause = min(2*pause, 10_000_000) {
		text = gather(out[0], text)
		n, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil)
		if n == pid || (err != nil && err != syscall.EINTR) {
			break
		}
		switch {
		case h.Timeout > 0 && seconds()-begin >= int64(h.Timeout):
			why = "it did not end in " + itoa(int(h.Timeout)) + " s"
		case stop != nil && stop():
			why = "the start was interrupted"
		default:
			syscall.Nanosleep(&syscall.Timespec{Nsec: pause}, nil)
			continue
		}
		syscall.Kill(-pid, syscall.SIGKILL)
		for {
			if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
				break
			}
		}
		break
	}
	text = gather(out[0], text)
	switch {
	case why != "":
	case status.Signaled():
		why = "killed by signal " + itoa(int(status.Signal()))
	case status.ExitStatus() != 0:
		why = "exit status " + itoa(status.ExitStatus())
	default:
		return ""
	}
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == ' ') {
		text = text[:len(text)-1]
	}
	if len(text) > 0 {
		why += ": " + string(text)
	}
	return why
}

// pipes are the hook's input, with the state in it, and its output.
func pipes(state []byte) (in int, out [2]int, why string) {
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
		return 0, out, err.Error()
	}
	defer syscall.Close(p[1])
	if err := syscall.SetNonblock(p[1], true); err != nil {
		syscall.Close(p[0])
		return 0, out, err.Error()
	}
	if n, err := syscall.Write(p[1], state); err != nil || n < len(state) {
		syscall.Close(p[0])
		return 0, out, "the container's state does not fit into a pipe: it has too many annotations"
	}
	if err := syscall.Pipe2(out[:], syscall.O_CLOEXEC); err != nil {
		syscall.Close(p[0])
		return 0, out, err.Error()
	}
	if err := syscall.SetNonblock(out[0], true); err != nil {
		syscall.Close(p[0])
		syscall.Close(out[0])
		syscall.Close(out[1])
		return 0, out, err.Error()
	}
	return p[0], out, ""
}

// gather reads what is there and keeps the beginning.
func gather(fd int, text []byte) []byte {
	var buf [1024]byte
	for range 64 { // a hook that writes for ever is still waited for
		n, err := syscall.Read(fd, buf[:])
		if err == syscall.EINTR {
			continue
		}
		if n <= 0 {
			break
		}
		text = append(text, buf[:min(n, kept-len(text))]...)
	}
	return text
}

func seconds() int64 {
	var t syscall.Timeval
	syscall.Gettimeofday(&t)
	return t.Sec
}

func itoa(n int) string {
	if n < 0 {
		return "-" + itoa(-n)
	}
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
