package external

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rl/slirp/tap"
)

// TestDies kills the program from outside. Its exit status may be taken by
// somebody who waits for any child.
func TestDies(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		for _, steal := range []bool{false, true} {
			_, f := container(t)
			p, err := Start(context.Background(), kind, f, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			pid := p.cmd.Process.Pid
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if steal {
				unix.Wait4(pid, nil, 0, nil) // or p was quicker
			}
			select {
			case <-p.Done():
			case <-time.After(20 * time.Second):
				t.Fatal("it ended and was not missed")
			}
			if p.Err() == nil || !strings.HasPrefix(p.Err().Error(), string(kind)+": ") {
				t.Errorf("its end: %v", p.Err())
			}
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestThreads has threads end that might have been the one that PDEATHSIG is bound to.
func TestThreads(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		_, f := container(t)
		p, err := Start(context.Background(), kind, f, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		done := make(chan bool)
		for range 40 {
			go func() {
				runtime.LockOSThread() // and ends with it
				done <- true
			}()
		}
		for range 40 {
			<-done
		}
		select {
		case <-p.Done():
			t.Errorf("it ended with a thread: %v", p.Err())
		case <-time.After(200 * time.Millisecond):
		}
	})
}

// beVictim starts a program, tells its pid, and waits to be killed.
func beVictim(kind Kind) {
	ns, err := tap.Unshare()
	if err == nil {
		var f *os.File
		if f, err = ns.File(); err == nil {
			var p *Process
			if p, err = Start(context.Background(), kind, f, Options{}); err == nil {
				os.Stdout.WriteString(strconv.Itoa(p.cmd.Process.Pid) + "\n")
				time.Sleep(time.Minute)
			}
		}
	}
	os.Stdout.WriteString("failed: " + err.Error() + "\n")
	os.Exit(1)
}

// TestDiesWithUs kills the process that started the program.
func TestDiesWithUs(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), victim+"="+string(kind))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 500)
		n, err := out.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
		if err != nil {
			t.Fatal(string(b[:n]))
		}
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(pidfd)
		cmd.Process.Kill()
		cmd.Wait()
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 20000)
			if err == unix.EINTR {
				continue
			}
			if n != 1 {
				t.Errorf("%s outlived us: %v", kind, err)
				unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
			}
			return
		}
	})
}
