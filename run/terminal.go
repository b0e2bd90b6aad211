package run

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"rl/run/monitor"
)

// terminal is the front's half of a container's pseudo-terminal.
type terminal struct {
	master *os.File
	saved  *unix.Termios // of the caller's terminal; nil while it is as it was
	in     int           // what is typed comes from here
	screen int           // what is seen is as large as this; -1: no terminal
	output chan struct{} // closed when all output was copied
	sizes  chan os.Signal
}

// attachTerminal joins the caller's terminal and the container's.
func (p *preparation) attachTerminal(master, output *os.File) *terminal {
	types := p.Flags.Interactive && p.Stdio[0] != nil
	if types && !p.SigProxy {
		onEnding(p.end, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT) // and the context is for SIGTERM
	}
	t := openTerminal(master, output, p.Stdio, types)
	if types {
		go t.copyInput(p.Stdio[0], p.Detach, func() {
			p.child.Socket.Send([]byte{monitor.MsgDetach}) // comes back as an answer
		}, p.hangUp)
	}
	return t
}

// openTerminal joins a terminal and the caller's, but for the input. What appears on it is read from
// output, which may be the master itself.
func openTerminal(master, output *os.File, stdio [3]*os.File, types bool) *terminal {
	t := joinTerminal(master, stdio, types)
	go func() {
		io.Copy(stdio[1], output) // a master ends with EIO when the last slave is closed
		close(t.output)
	}()
	return t
}

// joinTerminal makes a terminal as large as the caller's, and the caller's raw when what is typed
// there is to go to it. Otherwise the caller's stays as it is, as docker has it: nobody reads the
// keys, so those that make signals must go on to do that. What the container's terminal writes for
// the end of a line is then processed twice, "\r\r\n", which looks the same.
func joinTerminal(master *os.File, stdio [3]*os.File, types bool) *terminal {
	t := &terminal{master: master, in: int(stdio[0].Fd()), screen: screenOf(stdio), output: make(chan struct{})}
	if types {
		t.raw()
	}
	if t.screen >= 0 {
		t.follow()
	}
	return t
}

// screenOf is the caller's terminal that is written to, or else read from; -1 is none.
func screenOf(stdio [3]*os.File) int {
	for _, f := range []*os.File{stdio[1], stdio[0]} {
		if isTerminal(f) {
			return int(f.Fd())
		}
	}
	return -1
}

// raw has the caller's terminal hand on every key at once, and neither show nor act on it.
func (t *terminal) raw() {
	saved, err := unix.IoctlGetTermios(t.in, unix.TCGETS)
	if err != nil {
		return
	}
	t.saved = saved
	raw := *saved
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	unix.IoctlSetTermios(t.in, unix.TCSETS, &raw)
}

// onEnding calls f in place of the first of the signals that would end this process, which has a
// terminal to give back before. The next one ends it.
func onEnding(f func(syscall.Signal), list ...os.Signal) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, list...)
	go func() {
		if n, ok := (<-ch).(syscall.Signal); ok {
			signal.Reset(list...)
			f(n)
		}
	}()
}

// redraw has a program that was not told of us show itself: as docker does, by a size that is not
// its own for a moment.
func (t *terminal) redraw() {
	size, err := unix.IoctlGetWinsize(t.screen, unix.TIOCGWINSZ)
	if err != nil {
		return
	}
	other := *size
	other.Row++
	unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, &other)
	t.resize()
}

// follow keeps the container's terminal as large as the caller's.
func (t *terminal) follow() {
	t.sizes = make(chan os.Signal, 1)
	signal.Notify(t.sizes, syscall.SIGWINCH)
	t.resize()
	go func() {
		for range t.sizes {
			t.resize()
		}
	}()
}

func (t *terminal) resize() {
	if size, err := unix.IoctlGetWinsize(t.screen, unix.TIOCGWINSZ); err == nil {
		unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, size)
	}
}

// copyInput copies what is typed until the detach keys come. The end of the input
// becomes the terminal's own end-of-file character; a terminal that is dead hangs up.
func (t *terminal) copyInput(from *os.File, detach []byte, leave, hangUp func()) {
	keys := detector{keys: detach}
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		out, found := keys.feed(buf[:n])
		if len(out) > 0 {
			if _, err := t.master.Write(out); err != nil {
				return
			}
		}
		if found {
			leave()
			return
		}
		if err == nil {
			continue
		}
		if errors.Is(err, syscall.EIO) {
			hangUp()
			return
		}
		if t.saved == nil {
			t.master.Write([]byte{4}) // EOT
		}
		return
	}
}

// drain waits for the last output, a moment at most: a process that outlived the
// workload cannot hold it up.
func (t *terminal) drain() {
	if t == nil {
		return
	}
	select {
	case <-t.output:
	case <-time.After(500 * time.Millisecond):
	}
	t.restore()
}

// restore gives the caller's terminal back as it was.
func (t *terminal) restore() {
	if t == nil {
		return
	}
	if t.sizes != nil {
		signal.Stop(t.sizes)
	}
	if t.saved != nil {
		unix.IoctlSetTermios(t.in, unix.TCSETS, t.saved)
		t.saved = nil
	}
}

// detector finds the detach keys in what is typed. A beginning of the sequence
// is held back until it is clear that it is none.
type detector struct {
	keys []byte
	held int
}

func (d *detector) feed(in []byte) (out []byte, found bool) {
	if len(d.keys) == 0 {
		return in, false
	}
	for _, c := range in {
		for d.held > 0 && c != d.keys[d.held] {
			keep := d.overlap()
			out = append(out, d.keys[:d.held-keep]...)
			d.held = keep
		}
		if c != d.keys[d.held] {
			out = append(out, c)
			continue
		}
		if d.held++; d.held == len(d.keys) {
			return out, true
		}
	}
	return out, false
}

// overlap is how much of what is held may still begin the sequence.
func (d *detector) overlap() int {
	for n := d.held - 1; n > 0; n-- {
		if bytes.Equal(d.keys[:n], d.keys[d.held-n:d.held]) {
			return n
		}
	}
	return 0
}
