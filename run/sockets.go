package run

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rl/run/monitor"
	"rl/userns/probe"
	"rl/userns/sys"
)

// sweepSockets removes the sockets of monitors that were killed, of another store's
// containers, too.
func (e *Engine) sweepSockets() error {
	dir, err := probe.Runtime(e.Facts)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir.Path)
	if err != nil {
		return nil // no container had one
	}
	for _, d := range entries {
		id, ours := strings.CutSuffix(d.Name(), monitor.ControlSuffix)
		if !ours || e.State.Running(id) {
			continue
		}
		path := filepath.Join(dir.Path, d.Name())
		s, err := sys.Dial(path)
		if err == nil {
			s.Close()
		} else if errors.Is(err, unix.ECONNREFUSED) {
			os.Remove(path)
		}
	}
	return nil
}
