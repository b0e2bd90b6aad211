// Package netlab makes two hosts with a network between them out of namespaces,
// for tests that an ordinary user runs.
//
//	test process            keeper: root of a user namespace, with namespaces for network and mounts
//	────────────            ─────────────────────────────────────────────────────────────────────────
//	script ──here rl …──▶   this host                        another host (a second network namespace)
//	                        192.0.2.1   2001:db8::1 ──veth── 192.0.2.2 (also .3 .4)   2001:db8::2
//	                        127.0.0.1, 127.0.0.53            169.254.169.254, fd00:ec2::254
//	                        resolv.conf: 192.0.2.2           a router that
//	                        its own newuidmap, subuid          198.51.100.0/24 2001:db8:100::/48 says unreachable
//	                                                           198.51.101.0/24 2001:db8:101::/48 drops
//	                                                           203.0.113.0/24                    has no route to
//
// The keeper is one process: its main thread is in this host, another thread in
// the other, and it runs the servers of both. Who runs a program in this host
// (see [Lab.Here]) is the same user as outside, without a privilege: to rl it
// looks as any host does, where the user has or has not subordinate ids and
// newuidmap. What needs privilege (an address, a route, a mount) the keeper does.
//
// Everything ends with the test: the keeper when its standard input ends, what
// it started when it ends, and namespaces with their last process.
package netlab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience ends what hangs.
const patience = 90 * time.Second

// Name is what the test binary must be called to be the keeper.
const Name = "netlab-keeper"

// Config says how the lab differs from the picture.
type Config struct {
	Dir    string // for the lab's files, new and empty
	Subids bool   // the user has subordinate ids there
	NoIPv6 bool   // this host has none
	NoPing bool   // ping sockets are forbidden, as the kernel has it by default
	Relay  string // HOST:PORT of the outside that is at 127.0.0.1:PORT here, too
}

// Lab is two hosts that exist until Close.
type Lab struct {
	Dir    string // the lab's: resolv.conf is this host's, and may be written
	cmd    *exec.Cmd
	tid    int // the keeper's thread in the other host
	in     io.WriteCloser
	out    *bufio.Reader
	limit  func(time.Time) error // of reading from it
	mu     sync.Mutex
	listen net.Listener
}

// Start makes a lab. Its errors may mean that this machine cannot have one.
func Start(c Config) (_ *Lab, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l := &Lab{Dir: c.Dir}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if err := os.MkdirAll(filepath.Join(c.Dir, "mnt"), 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(l.Resolv(), []byte("search lab.test\nnameserver 192.0.2.2\n"), 0o644); err != nil {
		return nil, err
	}
	if c.Relay != "" {
		if err := l.relay(c.Relay); err != nil {
			return nil, err
		}
	}
	ids, err := mapping(c.Subids)
	if err != nil {
		return nil, err
	}
	// Its command line, environment and directory tell nothing of a script: it
	// must not look like something that a script has left behind.
	l.cmd = &exec.Cmd{Path: self, Args: []string{Name}, Dir: "/", Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"}}
	l.cmd.Stderr = os.Stderr
	l.cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		AmbientCaps: allCaps(), // they outlive exec also before there is a user 0
		Setpgid:     true,
	}
	ids.direct(l.cmd.SysProcAttr)
	in, err := l.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.in, l.out, l.limit = in, bufio.NewReader(out), out.(*os.File).SetReadDeadline
	if err := l.cmd.Start(); err != nil {
		l.cmd = nil
		return nil, fmt.Errorf("a user namespace: %w", err)
	}
	if err := ids.write(l.cmd.Process.Pid); err != nil {
		return nil, err
	}
	a, err := l.ask(request{Verb: "setup", Setup: &setup{
		Dir: c.Dir, NoIPv6: c.NoIPv6, NoPing: c.NoPing, Relay: c.Relay, Subuid: ids.inner, Mapped: ids.mapped, GID: os.Getgid(),
	}})
	if err != nil {
		return nil, err
	}
	l.tid = a.Thread
	return l, nil
}

// Resolv is the file that this host has as /etc/resolv.conf. It must be written
// in place: another file of the same name is not seen.
func (l *Lab) Resolv() string { return filepath.Join(l.Dir, "resolv.conf") }

// Here is the command that runs another one in this host, as the user and
// without privilege; its arguments follow.
func (l *Lab) Here() []string {
	return []string{"nsenter", fmt.Sprintf("--target=%d", l.cmd.Process.Pid), "--user", "--mount", "--net", "--preserve-credentials", "--"}
}

// There is the same for the other host.
func (l *Lab) There() []string {
	h := l.Here()
	h[4] = fmt.Sprintf("--net=/proc/%d/task/%d/ns/net", l.cmd.Process.Pid, l.tid)
	return h
}

// Do asks the keeper for something, see keeper.go, and returns what it says.
func (l *Lab) Do(verb string, args ...string) (string, error) {
	a, err := l.ask(request{Verb: verb, Args: args})
	return a.Out, err
}

func (l *Lab) ask(r request) (a reply, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, err := json.Marshal(r)
	if err != nil {
		return a, err
	}
	if _, err := l.in.Write(append(b, '\n')); err != nil {
		return a, fmt.Errorf("the lab has ended: %w", err)
	}
	if err := l.limit(time.Now().Add(patience)); err != nil {
		return a, err
	}
	line, err := l.out.ReadBytes('\n')
	if err != nil {
		return a, fmt.Errorf("the lab has ended: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, err
	}
	if a.Err != "" {
		err = errors.New(strings.TrimSpace(a.Err))
	}
	return a, err
}

// Close ends the keeper with all that it has started.
func (l *Lab) Close() error {
	if l.listen != nil {
		l.listen.Close()
	}
	if l.cmd == nil {
		return nil
	}
	l.in.Close()
	syscall.Kill(-l.cmd.Process.Pid, syscall.SIGKILL)
	l.cmd.Wait()
	return nil
}

// relay brings connections of the keeper, which come by a socket in the file
// system, to an address that only the outside has: the registry's.
func (l *Lab) relay(to string) error {
	ln, err := net.Listen("unix", filepath.Join(l.Dir, "relay"))
	if err != nil {
		return err
	}
	l.listen = ln
	go func() {
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // for want of descriptors or memory, which may pass
				time.Sleep(10 * time.Millisecond)
				continue
			}
			go pipe(c, func() (net.Conn, error) { return net.Dial("tcp", to) })
		}
	}()
	return nil
}

// pipe connects two connections until both ends have ended.
func pipe(c net.Conn, dial func() (net.Conn, error)) {
	defer c.Close()
	d, err := dial()
	if err != nil {
		return
	}
	defer d.Close()
	done := make(chan struct{})
	copyTo := func(to, from net.Conn) {
		io.Copy(to, from)
		if h, ok := to.(interface{ CloseWrite() error }); ok {
			h.CloseWrite()
		}
	}
	go func() { defer close(done); copyTo(d, c) }()
	copyTo(c, d)
	<-done
}
