package vm

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// bootPatience ends what does not boot; emulated, a boot takes 20 s.
const bootPatience = 4 * time.Minute

// A Machine runs until Close, or until the process that made it ends.
type Machine struct {
	dir      string // for its files
	image    string // where its kernel is
	listener *net.UnixListener
	conn     net.Conn
	wire     *wire
	qemu     *exec.Cmd
	ended    chan error // what qemu ended with
}

// Boot starts a machine whose disk is a throw-away copy of the image, and waits
// for its agent. Files go to scratch.
func Boot(scratch string) (_ *Machine, err error) {
	m := &Machine{dir: scratch}
	if m.image, err = image(); err != nil {
		return nil, err
	}
	if err := disk(m.test(), scratch); err != nil {
		return nil, err
	}
	if out, err := exec.Command("cp", "--sparse=always", m.image+"/root.img", m.root()).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	if m.listener, err = net.ListenUnix("unix", &net.UnixAddr{Name: m.port(), Net: "unix"}); err != nil {
		return nil, err
	}
	if err := m.on(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// on starts qemu and waits for the agent. A reboot ends it: a reset of an emulated
// machine does not always come up again.
func (m *Machine) on() error {
	cmd := exec.Command("qemu-system-x86_64", "-no-reboot",
		"-accel", "kvm", "-accel", "tcg,thread=multi", // the first that works
		"-cpu", "max", "-smp", "2", "-m", "2048",
		"-nodefaults", "-no-user-config", "-display", "none",
		"-kernel", m.image+"/vmlinuz", "-initrd", m.image+"/initrd.img", "-append", "console=ttyS0 quiet systemd.show_status=no",
		"-drive", "if=virtio,format=raw,cache=unsafe,file="+m.root(),
		"-drive", "if=virtio,format=raw,readonly=on,file="+m.test(),
		"-chardev", "file,id=console,append=on,path="+m.console(), "-serial", "chardev:console",
		"-device", "virtio-serial-pci",
		"-chardev", "socket,id=agent,path="+m.port(), "-device", "virtserialport,chardev=agent,name=rl",
	)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	// It ends with this process, however that ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the parent that PDEATHSIG speaks of is a thread
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		if err := cmd.Wait(); err != nil {
			ended <- fmt.Errorf("qemu: %w: %s", err, bytes.TrimSpace(said.Bytes()))
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	m.qemu, m.ended = cmd, ended
	m.listener.SetDeadline(time.Now().Add(time.Minute))
	conn, err := m.listener.Accept()
	if err != nil {
		return fmt.Errorf("qemu does not open the agent's port: %w", errors.Join(err, m.off()))
	}
	m.conn, m.wire = conn, newWire(conn, conn)
	m.conn.SetDeadline(time.Now().Add(bootPatience))
	if err := m.wire.receive(new(reply)); err != nil {
		return m.broken("no boot", err)
	}
	return nil
}

// off ends qemu if it has not ended, and says what was wrong with its end otherwise.
func (m *Machine) off() error {
	if m.qemu == nil {
		return nil
	}
	if m.conn != nil {
		m.conn.Close()
	}
	m.conn = nil
	defer func() { m.qemu = nil }()
	select {
	case err := <-m.ended:
		return err
	default:
	}
	m.qemu.Process.Kill()
	<-m.ended
	return nil
}

func (m *Machine) root() string    { return filepath.Join(m.dir, "root.img") }
func (m *Machine) test() string    { return filepath.Join(m.dir, "test.img") }
func (m *Machine) port() string    { return filepath.Join(m.dir, "agent.sock") }
func (m *Machine) console() string { return filepath.Join(m.dir, "console") }

// broken explains an error of the connection by what the machine last said.
func (m *Machine) broken(what string, err error) error {
	text, _ := os.ReadFile(m.console())
	return fmt.Errorf("%s: %w; the console's end:\n%s", what, err, text[max(0, len(text)-4000):])
}

// do has the agent do something.
func (m *Machine) do(q request) (r reply, err error) {
	if m.conn == nil {
		return r, errors.New("the machine is off")
	}
	m.conn.SetDeadline(time.Now().Add(time.Duration(q.Seconds)*time.Second + time.Minute))
	if err := m.wire.send(q); err != nil {
		return r, m.broken("the agent does not listen", err)
	}
	if err := m.wire.receive(&r); err != nil {
		return r, m.broken("the agent does not answer", err)
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

// Reboot shuts down and boots, as an administrator does.
func (m *Machine) Reboot() error {
	if _, err := m.do(request{Argv: []string{"systemctl", "reboot", "--no-block"}, Seconds: 30}); err != nil {
		return err
	}
	select {
	case err := <-m.ended:
		if err != nil {
			return err
		}
	case <-time.After(bootPatience):
		return m.broken("no shutdown", os.ErrDeadlineExceeded)
	}
	return errors.Join(m.off(), m.on())
}

// Crash is a power cut: what the machine had not yet written is lost.
func (m *Machine) Crash() error { return errors.Join(m.off(), m.on()) }

// Close ends the machine; its disk is forgotten.
func (m *Machine) Close() error { return errors.Join(m.off(), m.listener.Close()) }
