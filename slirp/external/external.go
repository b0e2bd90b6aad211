// Package external connects a container to the network by a program that is
// installed on the host: pasta(1) or slirp4netns(1), for those who ask for one by
// name.
//
//	monitor, host's network namespace         the program                     container's network namespace
//
//	  Start ── fork, netns as its stdin ─────▶ setns, opens tap ────────────▶ eth0 or tap0, configured
//	        ◀──────────── a number when ready ─┤
//	  Close ── SIGKILL ──────────────────────▶ the device is gone with it
//
// The program gets the namespace as a descriptor of its standard streams, as /proc/self/fd/0:
// that needs no path that others could replace, no right to look into another process, and is
// not lost in the versions of pasta that close all descriptors but the first three.
//
// The program is killed when this process dies, and it loses its privileges by itself:
// slirp4netns in a sandbox with a seccomp filter, pasta always.
//
// What they cannot do is not made up for: they reach link-local and
// metadata addresses, and slirp4netns always gives the container the hundredth address of
// its subnet.
package external

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"rl/userns/sys/fault"
)

// Kind is a program.
type Kind string

// The programs, by their names.
const (
	Pasta       Kind = "pasta"
	Slirp4netns Kind = "slirp4netns"
)

// Options say what is to be different from the program's own choice. The host's
// loopback addresses cannot be reached and no port is forwarded unless they say so.
type Options struct {
	Path         string       // of the program; "": as found in PATH
	Name         string       // of the device; "": tap0, or with pasta what the host's is called
	MTU          int          // bytes; 0: 65520
	MAC          [6]byte      // of the device; zero: the program's choice
	Subnet       netip.Prefix // of slirp4netns; invalid: 10.0.2.0/24
	IPv6         bool         // of slirp4netns; pasta has it when the host has
	HostLoopback bool         // the gateway's address is the host's loopback
	DNS          netip.Addr   // of pasta: where it answers for the host's resolvers; slirp4netns does at the subnet's third address
	Extra        []string     // further arguments; pasta's replace those that are given here
}

const (
	defaultMTU = 65520
	// startTimeout is for a program that hangs; they take some 10 ms.
	startTimeout = 30 * time.Second
)

// Start starts a program for a network namespace, and waits until the container's
// device is configured. The namespace must be owned by this process's user
// namespace, of which it must be root.
func Start(ctx context.Context, kind Kind, netns *os.File, o Options) (*Process, error) {
	path, err := find(kind, o.Path)
	if err != nil {
		return nil, err
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd := &exec.Cmd{Path: path, Env: []string{}, Stdin: netns} // nothing of our environment concerns it
	switch kind {
	case Pasta:
		cmd.Args = append([]string{string(kind)}, pastaArgs(&o, os.Geteuid() == 0)...)
		cmd.Stdout = tell
	case Slirp4netns:
		cmd.Args = append([]string{string(kind)}, slirp4netnsArgs(&o)...)
		cmd.ExtraFiles = []*os.File{tell}
	}
	p, err := start(kind, cmd)
	tell.Close()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", kind, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("it was not ready within %s", startTimeout))
	defer cancel()
	if err := p.await(ctx, ready); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func find(kind Kind, path string) (string, error) {
	pack := ""
	switch kind {
	case Pasta:
		pack = "passt"
	case Slirp4netns:
		pack = "slirp4netns"
	default:
		return "", fmt.Errorf("unknown network program %q", kind)
	}
	if path != "" {
		return path, nil
	}
	path, err := exec.LookPath(string(kind))
	if errors.Is(err, exec.ErrNotFound) {
		return "", fault.New("install the package "+pack+", or use --network slirp, which needs no program", "%s is not installed", kind)
	}
	return path, err
}

// await waits until the program says that it is ready, by a line with a number: pasta's "PID
// file", slirp4netns's ready-fd.
func (p *Process) await(ctx context.Context, ready *os.File) error {
	said := make(chan bool, 1)
	go func() {
		b := make([]byte, 32)
		n, _ := ready.Read(b) // ends when the program does, or with Start
		_, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
		said <- err == nil
	}()
	for {
		select {
		case ok := <-said:
			if ok {
				return nil
			}
			said = nil // it closed the pipe: it ends, or never tells
		case <-p.done:
			return p.err
		case <-ctx.Done():
			text := fmt.Sprintf("%s: %v", p.kind, context.Cause(ctx))
			if s := p.stderr.said(); s != "" {
				text += ": " + s
			}
			return fault.New("", "%s", text)
		}
	}
}
