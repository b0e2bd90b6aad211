package netlab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rl/cmd/rl/harness/peer"
)

// The test process writes a request as a line of JSON, and reads a reply:
//
//	setup                  make everything; the first one
//	run HOST CMD…          run a command with all capabilities over the lab, say its output
//	start HOST CMD…        the same in the background, until the lab ends; its output goes to the log
//	serve HOST KIND=ADDR   a server of package peer
//	log                    what servers saw since the last time, a line each
//	cover PATH FILE        mount a file over another
//	hide DIR               mount an empty directory over one
//	uncover PATH           undo the last of these
//	stop                   kill what start has started
type request struct {
	Verb  string
	Args  []string
	Setup *setup `json:",omitempty"`
}

type setup struct {
	Dir, Relay, Subuid     string
	NoIPv6, NoPing, Mapped bool
	GID                    int
}

type reply struct {
	Out, Err string
	Thread   int `json:",omitempty"`
}

// A host is a thread in a network namespace. What it forks is in that
// namespace, too, and dies with the thread, which means with the keeper.
type host struct {
	name string
	tid  int
	do   chan func()
}

type keeper struct {
	here, there *host
	mu          sync.Mutex
	seen        []string
	started     []*exec.Cmd
}

// Main is the keeper.
func Main() int {
	runtime.LockOSThread()
	k := &keeper{}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return 0
		}
		var (
			r request
			a reply
		)
		if err = json.Unmarshal(line, &r); err == nil {
			a, err = k.answer(r)
		}
		if err != nil {
			a.Err = err.Error()
		}
		b, err := json.Marshal(a)
		if err != nil {
			return 1
		}
		if _, err := os.Stdout.Write(append(b, '\n')); err != nil {
			return 0
		}
	}
}

var errWords = errors.New("usage: netlab run|start|serve HOST …, log, cover, hide, uncover or stop")

func (k *keeper) answer(r request) (a reply, err error) {
	if r.Verb == "setup" {
		err = k.setup(*r.Setup)
		if err == nil {
			a.Thread = k.there.tid
		}
		return a, err
	}
	switch {
	case r.Verb == "log" && len(r.Args) == 0:
		// What a client is told may be there before what the log is told.
		time.Sleep(50 * time.Millisecond)
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, l := range k.seen {
			a.Out += l + "\n"
		}
		k.seen = nil
		return a, nil
	case r.Verb == "cover" && len(r.Args) == 2:
		return a, bind(r.Args[1], r.Args[0])
	case r.Verb == "hide" && len(r.Args) == 1:
		return a, os.NewSyscallError("mount", unix.Mount("tmpfs", r.Args[0], "tmpfs", 0, "mode=755"))
	case r.Verb == "uncover" && len(r.Args) == 1:
		return a, os.NewSyscallError("umount", unix.Unmount(r.Args[0], unix.MNT_DETACH))
	case r.Verb == "stop" && len(r.Args) == 0:
		k.stop()
		return a, nil
	case len(r.Args) < 2:
		return a, errWords
	}
	h, ok := map[string]*host{"here": k.here, "there": k.there}[r.Args[0]]
	if !ok {
		return a, fmt.Errorf("no host %q: here or there", r.Args[0])
	}
	rest := r.Args[1:]
	switch r.Verb {
	case "run":
		a.Out, err = h.run("", rest...)
	case "start":
		err = k.start(h, rest)
	case "serve":
		for _, spec := range rest {
			if err = k.serve(h, spec); err != nil {
				break
			}
		}
	default:
		err = errWords
	}
	return a, err
}

// newHost locks a thread for good; with a namespace it makes one for it.
func newHost(name string, namespace bool) (*host, error) {
	h := &host{name: name, do: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		h.tid = unix.Gettid()
		var err error
		if namespace {
			err = unix.Unshare(unix.CLONE_NEWNET)
		}
		ready <- err
		for f := range h.do {
			f()
		}
	}()
	return h, <-ready
}

// on calls a function on the host's thread.
func (h *host) on(f func() error) error {
	done := make(chan error)
	h.do <- func() { done <- f() }
	return <-done
}

// command is one as the lab's root.
func (h *host) command(args []string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		AmbientCaps: allCaps(), Pdeathsig: syscall.SIGKILL,
	}
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs a command to its end, with some text as its input.
func (h *host) run(input string, args ...string) (string, error) {
	cmd := h.command(args)
	cmd.Stdin = strings.NewReader(input)
	var out []byte
	err := h.on(func() (err error) {
		out, err = cmd.CombinedOutput()
		return err
	})
	if err != nil {
		return string(out), fmt.Errorf("%s: %s: %w: %s", h.name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (k *keeper) start(h *host, args []string) error {
	cmd := h.command(args)
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID // what it starts ends with it
	out, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := h.on(cmd.Start); err != nil {
		return err
	}
	k.started = append(k.started, cmd)
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			k.log("%s: %s", args[0], s.Text())
		}
	}()
	return nil
}

func (k *keeper) stop() {
	for _, cmd := range k.started {
		cmd.Process.Kill()
		cmd.Wait()
	}
	k.started = nil
}

func (k *keeper) serve(h *host, spec string) error {
	kind, addr, _ := strings.Cut(spec, "=")
	return h.on(func() error {
		_, err := peer.Listen(kind, addr, func(format string, args ...any) { k.log(h.name+" "+format, args...) })
		if err != nil {
			return fmt.Errorf("%s: %s: %w", h.name, spec, err)
		}
		return nil
	})
}

func (k *keeper) log(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.seen) < 10_000 {
		k.seen = append(k.seen, fmt.Sprintf(format, args...))
	}
}
