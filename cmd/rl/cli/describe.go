package cli

import (
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run"
	"rl/run/health"
	"rl/run/state"
)

// inspectedContainer is docker's description of a container, as far as it has a
// meaning here.
type inspectedContainer struct {
	ID              string `json:"Id"`
	Created         string
	Path            string
	Args            []string
	State           containerState
	Image           string
	ResolvConfPath  string
	HostnamePath    string
	HostsPath       string
	LogPath         string
	Name            string
	RestartCount    int
	Driver          string
	DriverLacked    []string `json:",omitempty"` // rl's own: why no better one
	GraphDriver     graphDriver
	ExecIDs         []string // nil: programs of exec have no ids here
	SizeRw          *int64   `json:",omitempty"`
	SizeRootFs      *int64   `json:",omitempty"`
	Platform        string
	Mounts          []containerMount
	Config          containerConfig
	HostConfig      hostConfig
	NetworkSettings networkSettings
	Spec            *specs.Spec `json:",omitempty"` // rl's own: the runtime-spec configuration
	Layers          []string    // rl's own: the directories it stands on, topmost first
}

type containerState struct {
	Status     string
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  string
	FinishedAt string
	Health     *health.Report `json:",omitempty"`
}

// containerMount is a bind or a volume, which alone has a name and a driver.
type containerMount struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Driver      string `json:",omitempty"`
	Mode        string
	RW          bool
	Propagation string
}

func describeContainer(d *run.Description) inspectedContainer {
	rec := d.Record
	c := inspectedContainer{ID: rec.ID, Created: stamp(rec.Created), Image: rec.ImageID, Name: "/" + rec.Name, Driver: d.Driver, DriverLacked: d.Lacked,
		Platform: "linux", Spec: d.Spec, Layers: rec.Layers, Mounts: []containerMount{},
		ResolvConfPath: filepath.Join(d.Dir, "files/resolv.conf"), HostnamePath: filepath.Join(d.Dir, "files/hostname"),
		HostsPath: filepath.Join(d.Dir, "files/hosts"), LogPath: filepath.Join(d.Dir, state.LogFile),
		State: containerState{Status: stateOf(d.Status), Running: d.Status.Running, Paused: d.Status.Paused, Restarting: d.Status.Again, OOMKilled: d.Status.OOM, Pid: d.Pid, ExitCode: d.Status.Exit, Error: d.Error,
			StartedAt: stamp(d.Status.Started), FinishedAt: stamp(d.Status.Finished), Health: d.Status.Health},
		Config: containerConfigOf(d), HostConfig: hostConfigOf(d), NetworkSettings: networkSettingsOf(d), RestartCount: d.Count, GraphDriver: graphDriverOf(d)}
	if rec.Fresh {
		c.State.Status = "created"
	}
	if len(rec.Command) > 0 {
		c.Path, c.Args = rec.Command[0], rec.Command[1:]
	}
	for _, m := range rec.Mounts {
		c.Mounts = append(c.Mounts, mountOf(m))
	}
	return c
}

// stamp is a time as docker's JSON has it, also in templates: text.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func mountOf(m state.Mount) containerMount {
	c := containerMount{Type: m.Type, Name: m.Name, Source: m.Source, Destination: m.Target, RW: !m.ReadOnly, Propagation: m.Propagation}
	if m.Name != "" {
		c.Driver = "local"
	}
	mode := m.Options
	if m.ReadOnly {
		mode = append([]string{"ro"}, mode...)
	}
	c.Mode = strings.Join(mode, ",")
	return c
}

func hostAddress(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
