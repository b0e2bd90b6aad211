package cli

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"rl/oci"
	"rl/run"
	"rl/run/plan/option"
)

// containerConfig is what docker tells of a container as the image's part: what was asked of the
// workload, with what the image says where nothing was.
type containerConfig struct {
	Hostname     string
	Domainname   string
	User         string
	AttachStdin  bool
	AttachStdout bool
	AttachStderr bool
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Tty          bool
	OpenStdin    bool
	StdinOnce    bool
	Env          []string
	Cmd          []string
	Image        string
	Volumes      map[string]struct{}
	WorkingDir   string
	Entrypoint   []string
	Labels       map[string]string
	StopSignal   string `json:",omitempty"`

	Healthcheck                *oci.Healthcheck `json:",omitempty"`
	HealthcheckOnFailureAction string           `json:",omitempty"` // podman's
}

func containerConfigOf(d *run.Description) containerConfig {
	rec := d.Record
	c := containerConfig{AttachStdin: rec.Interactive && !rec.Detached, AttachStdout: !rec.Detached, AttachStderr: !rec.Detached,
		Tty: rec.Terminal, OpenStdin: rec.Interactive, StdinOnce: rec.Interactive && !rec.Detached, ExposedPorts: exposedPorts(d),
		Env: rec.Env, Image: rec.Image, Volumes: anonymous(d), Labels: rec.Labels, StopSignal: rec.StopSignal}
	if n := min(rec.Entry, len(rec.Command)); n > 0 {
		c.Entrypoint = rec.Command[:n]
	}
	if n := len(c.Entrypoint); n < len(rec.Command) {
		c.Cmd = rec.Command[n:]
	}
	if f := d.Flags; f != nil {
		c.User = f.UserText
	}
	if h := rec.Health; h != nil {
		c.Healthcheck, c.HealthcheckOnFailureAction = &h.Healthcheck, h.OnFailure
	}
	if s := d.Spec; s != nil {
		c.Hostname, c.Domainname, c.WorkingDir = s.Hostname, s.Domainname, s.Process.Cwd
	}
	return c
}

// exposedPorts are those of the image, of --expose and of -p.
func exposedPorts(d *run.Description) map[string]struct{} {
	all := map[string]struct{}{}
	for _, p := range shownPorts(d.Record) {
		all[portKey(p.port, p.proto)] = struct{}{}
	}
	if f := d.Flags; f != nil { // the record has what there is of them, which may be nothing yet
		for _, p := range f.Publish {
			all[portKey(p.ContainerPort, p.Proto)] = struct{}{}
		}
		for _, p := range f.Expose {
			all[portKey(p.Port, p.Proto)] = struct{}{}
		}
	}
	return all
}

// portKey is docker's name of a container's port.
func portKey(port uint16, proto string) string { return strconv.Itoa(int(port)) + "/" + proto }

// anonymous are the places of the container's own volumes that nobody gave a name.
func anonymous(d *run.Description) (all map[string]struct{}) {
	for _, m := range d.Record.Mounts {
		if !m.Anonymous || inherited(d, m.Target) {
			continue
		}
		if all == nil {
			all = map[string]struct{}{}
		}
		all[m.Target] = struct{}{}
	}
	return all
}

// inherited tells whether what is mounted at a place came with --volumes-from.
func inherited(d *run.Description, target string) bool {
	at := func(x option.Mount) bool { return x.Target == target }
	return d.Flags != nil && slices.ContainsFunc(d.Flags.Inherited, at) && !slices.ContainsFunc(d.Flags.Mounts, at)
}

// graphDriver is what the root file system is made of.
type graphDriver struct {
	Name string
	Data map[string]string
}

// graphDriverOf has overlay2's words for the directories. Where they are together only the
// container sees, so that is its root by way of its process, while it runs.
func graphDriverOf(d *run.Description) graphDriver {
	g := graphDriver{Name: d.Driver}
	if d.Upper == "" {
		return g
	}
	g.Data = map[string]string{"LowerDir": strings.Join(d.Record.Layers, ":"), "UpperDir": d.Upper, "WorkDir": d.Work}
	if d.Pid > 0 {
		g.Data["MergedDir"] = filepath.Join("/proc", strconv.Itoa(d.Pid), "root")
	}
	return g
}
