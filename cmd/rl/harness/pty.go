package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// converse runs a command on a terminal of its own and plays a dialog with it:
//
//	expect REGEXP      wait until the output since the last expect matches
//	send TEXT          type it; \r \n \t \e \x03 as in Go
//	size ROWS COLS     resize the terminal
//	signal TERM        send a signal to the command
//	hangup             take the terminal away
//	sleep 100ms        for what must *not* happen
//
// However the command ends, the terminal must be left with the settings it had.
// It returns everything that appeared, with CRLF turned into LF, and the exit
// status as a shell would say it. The command has twenty seconds an expectation.
func converse(cmd *exec.Cmd, dialog string) (output string, status int, err error) {
	blocking, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		return "", 0, err
	}
	term, err := pollable(blocking)
	if err != nil {
		return "", 0, err
	}
	defer term.Close()
	fresh, err := freshSettings()
	if err != nil {
		return "", 0, err
	}
	gone, left := false, error(nil)
	var (
		mu   sync.Mutex
		all  bytes.Buffer
		seen int
		eof  = make(chan struct{})
	)
	go func() {
		defer close(eof)
		buf := make([]byte, 4096)
		for {
			n, err := term.Read(buf)
			mu.Lock()
			all.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	text := func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.ReplaceAll(strings.ReplaceAll(all.String(), "\r\n", "\n"), "\x00", "")
	}
	for n, line := range strings.Split(dialog, "\n") {
		verb, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "", "#":
		case "expect":
			re, err := regexp.Compile("(?m)" + arg)
			if err != nil {
				return text(), 0, err
			}
			if err := await(re, text, &seen, eof); err != nil {
				end(cmd)
				return text(), 0, fmt.Errorf("line %d of the dialog: %w", n+1, err)
			}
		case "send":
			typed, err := unescape(arg)
			if err != nil {
				return text(), 0, err
			}
			if _, err := term.WriteString(typed); err != nil {
				return text(), 0, err
			}
		case "size":
			var rows, cols uint16
			if _, err := fmt.Sscan(arg, &rows, &cols); err != nil {
				return text(), 0, err
			}
			if err := resize(term, rows, cols); err != nil {
				return text(), 0, err
			}
		case "signal":
			sig, ok := signals[arg]
			if !ok {
				return text(), 0, fmt.Errorf("unknown signal %q", arg)
			}
			if err := cmd.Process.Signal(sig); err != nil {
				return text(), 0, err
			}
		case "hangup":
			term.Close()
			gone = true
		case "sleep":
			d, err := time.ParseDuration(arg)
			if err != nil {
				return text(), 0, err
			}
			time.Sleep(d)
		default:
			return text(), 0, fmt.Errorf("unknown line %q in the dialog", line)
		}
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err = <-done:
	case <-time.After(20 * time.Second):
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		return text(), 0, fmt.Errorf("the command does not end after its dialog")
	}
	select { // the rest of its output; somebody else may hold the terminal open
	case <-eof:
	case <-time.After(time.Second):
	}
	if !gone {
		left = unchanged(term, fresh)
	}
	return text(), exitStatus(cmd.ProcessState), left
}

// freshSettings are those of a terminal that nobody has changed.
func freshSettings() (*unix.Termios, error) {
	ours, theirs, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	defer theirs.Close()
	return unix.IoctlGetTermios(int(theirs.Fd()), unix.TCGETS)
}

// unchanged compares the settings of the terminal behind a master.
func unchanged(f *os.File, fresh *unix.Termios) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var now *unix.Termios
	var failed error
	err = conn.Control(func(fd uintptr) { now, failed = unix.IoctlGetTermios(int(fd), unix.TCGETS) })
	if err = errors.Join(err, failed); err == nil && *now != *fresh {
		err = fmt.Errorf("the command left its terminal with other settings: %+v, not %+v", *now, *fresh)
	}
	return err
}

// end kills a command with its session's first process group.
func end(cmd *exec.Cmd) {
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	cmd.Wait()
}

// pollable gives a file whose Close ends a Read that waits: package pty leaves a
// blocking one, whose terminal would live on until the next byte.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// resize does not ask for File.Fd, which would make the file blocking again.
func resize(f *os.File, rows, cols uint16) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
	})
	return errors.Join(err, failed)
}

func await(re *regexp.Regexp, text func() string, seen *int, eof chan struct{}) error {
	for deadline, ended := time.Now().Add(20*time.Second), false; ; {
		now := text()
		if at := re.FindStringIndex(now[*seen:]); at != nil {
			*seen += at[1]
			return nil
		}
		if ended || time.Now().After(deadline) {
			return fmt.Errorf("no match for %q in %q", re, now[*seen:])
		}
		select {
		case <-eof:
			ended = true
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func unescape(s string) (string, error) {
	s = strings.ReplaceAll(s, `\e`, `\x1b`)
	return strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
}

var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "KILL": syscall.SIGKILL,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "PIPE": syscall.SIGPIPE, "TERM": syscall.SIGTERM,
	"CONT": syscall.SIGCONT, "STOP": syscall.SIGSTOP, "TSTP": syscall.SIGTSTP, "WINCH": syscall.SIGWINCH,
}

// exitStatus is what a shell's $? would be.
func exitStatus(p *os.ProcessState) int {
	if ws, ok := p.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return p.ExitCode()
}
