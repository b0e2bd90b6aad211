package seccomp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/inside/seccomp"
	"rl/run/inside/seccomp/filter"
	"rl/run/inside/seccomp/notify"
)

// The rig is a small stand-in for rl's three processes, with the filters of
// this package and nothing else:
//
//	test ─▶ monitor: user namespace with one id, pid 1, /proc of the host; serves the listener
//	         └─▶ init: mount and pid namespace, filters, self test, execve
//
// init sends the listener over a socketpair and waits until it is served.
type rig struct {
	Argv     []string
	Env      []string
	Dir      string
	Root     string // "" is the host's
	FakeRoot string // "", "notify", "fallback", "interruptible" (notify as before Linux 5.19)
	Profile  bool   // moby's default, with docker's capabilities
	NoServe  bool   // the listener is dropped instead of being served
	MaskProc bool   // the monitor's /proc is masked, so that the kernel gives no other
	Probe    string // run this probe of the test binary instead of Argv
}

const stageEnv, configEnv = "RL_TEST_STAGE", "RL_TEST_CONFIG"

func TestMain(m *testing.M) {
	switch os.Getenv(stageEnv) {
	case "monitor":
		os.Exit(monitorMain())
	case "init":
		runtime.LockOSThread()
		fmt.Fprintln(os.Stderr, "rig: init:", initMain())
		os.Exit(99)
	case "probe":
		os.Exit(probes[os.Getenv(configEnv)]())
	}
	os.Exit(m.Run())
}

// run starts the rig and gives what it printed and its exit status.
func (r rig) run(t *testing.T) (string, int) {
	t.Helper()
	if r.Probe != "" {
		r.Argv = []string{self(t)}
		r.Env = append(r.Env, stageEnv+"=probe", configEnv+"="+r.Probe)
	}
	conf, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self(t))
	cmd.Env = append(os.Environ(), stageEnv+"=monitor", configEnv+"="+string(conf),
		"GORACE=atexit_sleep_ms=0") // else the race detector makes each of the processes a second longer
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("this machine gives no user namespace: %v", err)
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return string(out), 128 + int(ws.Signal())
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// sh runs a shell script and wants it to succeed and to print want.
func (r rig) sh(t *testing.T, script, want string) {
	t.Helper()
	r.Argv = []string{"/bin/sh", "-ec", script}
	out, code := r.run(t)
	if code != 0 || strings.TrimSpace(out) != want {
		t.Errorf("%s\nexit %d, printed %q, want 0 and %q", script, code, strings.TrimSpace(out), want)
	}
}

func self(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

func config() (r rig) {
	if err := json.Unmarshal([]byte(os.Getenv(configEnv)), &r); err != nil {
		panic(err)
	}
	return r
}

func monitorMain() int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "rig: monitor:", err)
		return 98
	}
	r := config()
	if r.MaskProc {
		code, err := masked(r)
		if err != nil {
			return fail(err)
		}
		return code
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "init")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), stageEnv+"=init")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // for Pdeathsig
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	theirs.Close()
	served, serving := make(chan error, 1), false
	if fd, err := receiveFD(pair[0]); err != nil {
		return fail(err)
	} else if fd >= 0 && r.NoServe {
		unix.Close(fd)
	} else if serving = fd >= 0; serving {
		go func() { served <- notify.Serve(context.Background(), fd) }()
	}
	if _, err := unix.Write(pair[0], []byte{1}); err != nil {
		return fail(err)
	}
	_ = cmd.Wait() // the state says it
	if serving {
		if err := <-served; err != nil { // returns by itself when all have ended
			return fail(err)
		}
	}
	if ws := cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return cmd.ProcessState.ExitCode()
}

func receiveFD(sock int) (int, error) {
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(sock, buf, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		return -1, err
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil {
		return -1, err
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil {
		return -1, err
	}
	return fds[0], nil
}

func initMain() error {
	r := config()
	if r.Root != "" {
		if err := enterRoot(r.Root); err != nil {
			return err
		}
	}
	if r.Dir != "" {
		if err := os.Chdir(r.Dir); err != nil {
			return err
		}
	}
	listener := -1
	if r.FakeRoot != "" {
		prog, fallback, flags, err := seccomp.FakeRoot()
		if err != nil {
			return err
		}
		var errno syscall.Errno
		if r.FakeRoot == "interruptible" {
			flags &^= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
		}
		if r.FakeRoot != "fallback" {
			listener, errno = filter.InstallWithFallback(prog, fallback, flags)
		} else {
			_, errno = filter.Install(fallback, 0)
		}
		if errno != 0 {
			return fmt.Errorf("install: %w", errno)
		}
	}
	var rights []byte
	if listener >= 0 {
		rights = unix.UnixRights(listener)
	}
	if err := unix.Sendmsg(3, []byte{0}, rights, nil, 0); err != nil {
		return err
	}
	if _, err := unix.Read(3, make([]byte, 1)); err != nil {
		return err
	}
	if listener >= 0 {
		unix.Close(listener)
	}
	if r.FakeRoot != "" && !r.NoServe {
		if name, errno := filter.SelfTest(listener >= 0); name != "" {
			return fmt.Errorf("self test: %s: %w", name, errno)
		}
	}
	if r.Profile {
		if err := installDefault(); err != nil {
			return err
		}
	}
	unix.CloseOnExec(3)
	os.Unsetenv(stageEnv) // of two values the first would count
	os.Unsetenv(configEnv)
	env := append(os.Environ(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TMPDIR=/tmp", "DEBIAN_FRONTEND=noninteractive")
	path := r.Argv[0]
	return fmt.Errorf("exec %s: %w", path, unix.Exec(path, r.Argv, append(env, r.Env...)))
}

var dockerCaps = []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE"}

func installDefault() error {
	spec, err := seccomp.Default(dockerCaps)
	if err != nil {
		return err
	}
	prog, flags, err := seccomp.Compile(spec)
	if err != nil {
		return err
	}
	keep := map[uintptr]bool{unix.CAP_CHOWN: true, unix.CAP_DAC_OVERRIDE: true, unix.CAP_FSETID: true, unix.CAP_FOWNER: true,
		unix.CAP_MKNOD: true, unix.CAP_NET_RAW: true, unix.CAP_SETGID: true, unix.CAP_SETUID: true, unix.CAP_SETFCAP: true,
		unix.CAP_SETPCAP: true, unix.CAP_NET_BIND_SERVICE: true, unix.CAP_SYS_CHROOT: true, unix.CAP_KILL: true, unix.CAP_AUDIT_WRITE: true}
	for c := range uintptr(unix.CAP_LAST_CAP + 1) {
		if !keep[c] {
			_ = unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) // a kernel may know fewer
		}
	}
	if _, errno := filter.Install(prog, flags); errno != 0 {
		return fmt.Errorf("install the profile: %w", errno)
	}
	return nil
}
