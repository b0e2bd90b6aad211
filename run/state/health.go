package state

import (
	"encoding/json"
	"path/filepath"

	"rl/run/health"
	"rl/userns/sys"
)

// HealthFile is where the monitor writes what probes have shown, of a container that has a
// health check.
const HealthFile = "health"

// health is what is known of it, nil without a check and before the first start. What does not run is unhealthy, as docker
// has it, whatever was written last.
func (r Root) health(rec *Record, s Status) *health.Report {
	if rec.Health == nil || rec.Fresh {
		return nil
	}
	h := &health.Report{}
	data, err := sys.ReadFile(filepath.Join(r.Dir(rec), HealthFile))
	if err != nil || json.Unmarshal(data, h) != nil {
		h = &health.Report{Status: health.Starting} // it is just starting
	}
	if !s.Running || s.Again {
		h.Status = health.Unhealthy
	}
	return h
}
