package inside

import (
	"syscall"

	"rl/run/inside/program"
	"rl/userns/sys/raw"
)

// terminal begins a session and, where one was asked for, makes a
// pseudo-terminal of the container's own devpts its controlling terminal: only
// such a one has a name inside (ttyname, /dev/console). The master goes to the
// monitor.
func terminal(p *program.Program) error {
	if _, err := syscall.Setsid(); err != nil && err != syscall.EPERM { // EPERM: is a leader already
		return fail("setsid", err)
	}
	if p.Terminal {
		return pty(p)
	}
	return nil
}

func pty(p *program.Program) error {
	master, slave, name, err := openPty(p)
	if err != nil {
		return err
	}
	if err := touch("/dev/console"); err != nil {
		return fail("make /dev/console", err)
	}
	if err := syscall.Mount(name, "/dev/console", "", syscall.MS_BIND, ""); err != nil {
		return fail("bind /dev/console", err)
	}
	if err := raw.SetControllingTerminal(slave); err != nil {
		return fail("set the controlling terminal", err)
	}
	for fd := range 3 {
		if err := syscall.Dup3(slave, fd, 0); err != nil {
			return fail("dup2 the terminal", err)
		}
	}
	send([]byte{MsgTerminal}, master)
	syscall.Close(master)
	return fail("close the terminal", syscall.Close(slave))
}

// openPty makes a pseudo-terminal of the container's devpts.
func openPty(p *program.Program) (master, slave int, name string, err error) {
	master, err = syscall.Open("/dev/pts/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, -1, "", fail("open /dev/pts/ptmx", err)
	}
	n, err := raw.UnlockPty(master)
	if err != nil {
		return -1, -1, "", fail("unlock the pseudo-terminal", err)
	}
	name = "/dev/pts/" + itoa(n)
	slave, err = syscall.Open(name, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, -1, "", fail("open "+name, err)
	}
	if p.Rows != 0 || p.Cols != 0 {
		if err := raw.SetWinsize(slave, uint16(p.Rows), uint16(p.Cols)); err != nil {
			return -1, -1, "", fail("set the size of the terminal", err)
		}
	}
	return master, slave, name, nil
}

// ownStdio lets a user other than root open /dev/stdout again, as nginx's image
// does: pipes and the terminal are given to it. Files of the host are not ours
// to give away.
func ownStdio(p *program.Program, uid, gid int) {
	const pipefs, sockfs = 0x50495045, 0x534f434b
	for fd := range 3 {
		if p.Terminal {
			syscall.Fchown(fd, uid, -1) // the group stays tty's
			continue
		}
		var st syscall.Statfs_t
		if syscall.Fstatfs(fd, &st) == nil && (st.Type == pipefs || st.Type == sockfs) {
			syscall.Fchown(fd, uid, gid)
		}
	}
}
