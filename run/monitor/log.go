package monitor

import (
	"errors"
	"fmt"
	"time"

	"rl/run/logs"
)

// openLog begins to keep what the workload writes. The pipes are the first of the
// donated files; with a terminal its master takes their place.
func (m *monitor) openLog() (err error) {
	if m.conf.Log == "" {
		return nil
	}
	if m.log, err = logs.Create(m.conf.Log); err != nil {
		return fmt.Errorf("create the log: %w", err)
	}
	if m.conf.Pipes > len(m.net.files) {
		return errors.New("the workload's pipes did not come")
	}
	for i, stream := range []string{"stdout", "stderr"}[:m.conf.Pipes] {
		m.log.Copy(stream, m.net.files[i])
	}
	m.net.files = m.net.files[m.conf.Pipes:]
	return nil
}

// drainLog waits for the last of it.
func (m *monitor) drainLog() {
	if m.log == nil {
		return
	}
	m.log.Drain(500 * time.Millisecond)
	m.log.Close()
}
