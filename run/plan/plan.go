// Package plan decides what a container will be.
//
// It is pure: the image's configuration, what the user asked and what the host
// offers go in, a standard runtime-spec configuration comes out, with the
// choices that were made and anything that was asked and cannot be. Nothing here
// reads a file or makes a system call; those who act on a plan (run, run/monitor,
// run/inside) decide nothing.
//
// Defaults are docker's: its capabilities, seccomp profile, mounts, masked
// paths, environment. Where a container without root differs, a comment says so.
package plan

import (
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/plan/option"
	"rl/userns/idmap"
)

// Flags is what the user asked, in docker's terms. The zero value asks nothing.
type Flags struct {
	Args       []string  // what stands behind IMAGE
	Entrypoint *[]string // nil: the image's; empty: none
	Env        []option.Env
	HostEnv    []string `json:",omitempty"` // the caller's, with --env-host
	Workdir    string
	User       option.User
	UserText   string // --user as written; "" asks nothing
	Groups     []string

	Hostname   string
	Domainname string // NIS
	AddHosts   []option.AddHost
	DNS        []string
	Search     []string
	DNSOpts    []string

	Name        string
	Labels      []option.Label
	Annotations []option.Label `json:",omitempty"`
	HooksDirs   []string       `json:",omitempty"` // of OCI hooks, see run/hooks
	PIDFile     string         `json:",omitempty"` // takes the workload's number, as the caller sees it
	Interactive bool
	Terminal    bool
	Init        bool
	Remove      bool
	ReadOnly    bool

	CapAdd, CapDrop []string
	Privileged      bool
	Security        option.Security
	Ulimits         []option.Ulimit
	Sysctls         []option.Sysctl
	ShmSize         int64 // bytes; 0 is docker's 64 MiB
	Devices         []option.Device
	Mounts          []option.Mount
	VolumesFrom     []option.VolumesFrom
	Inherited       []option.Mount // those of VolumesFrom, as those containers had them at the creation
	OOMScore        *int
	Limits          option.Limits `json:"-"` // the record has them, as an update changes them
	CgroupParent    string
	Cgroups         string // pin of the cgroup ladder
	Umask           string // octal

	Log         option.Log
	StopSignal  string
	StopTimeout *time.Duration
	Restart     option.Restart
	Health      option.Health `json:",omitzero"`

	Network    option.Networks
	Publish    []option.Publish
	PublishAll bool          // every port that the image or Expose names
	Expose     []option.Port // of which only PublishAll makes anything
	Pcap       string        // file for a packet capture

	Pid    option.Mode
	IPC    option.Mode
	UTS    option.Mode
	Cgroup option.Mode
	Userns option.Userns
}

// Facts is what the plan must know of the host and of what was decided before.
type Facts struct {
	ID       string // the container's, 64 hexadecimal digits
	Map      idmap.Map
	SingleID bool   // the single-id rung: a seccomp filter plays the other ids
	Network  string // the rung of the network ladder
	Net      *Net   // what Network decided; nil: nothing but the rung

	Hostname string // the host's
	Resolv   []byte // the host's /etc/resolv.conf
	Hosts    []byte // the host's /etc/hosts
	FilesDir string // directory of the container's resolv.conf, hosts, hostname
	// Volume gives where a volume's content is, and its name when it has none yet: the one
	// that the container had at target before, or a new one.
	Volume  func(name, target string) (string, string)
	Cgroup2 bool // /sys/fs/cgroup is cgroup v2: a namespace of it can be shown
	Caps    int  // number of the last capability the kernel knows

	// HostDevices are the devices --privileged shows, paths below /dev.
	HostDevices []string
	// IsDir tells whether a path of the host is a directory.
	IsDir func(path string) (bool, error)
	// Seccomp gives the profile for a set of capabilities.
	Seccomp func(path string, caps []string) (*specs.LinuxSeccomp, error)
}

// Plan is what a container will be.
type Plan struct {
	Spec    *specs.Spec
	Files   []File   // resolv.conf, hosts, hostname
	OnDisk  bool     // Files must be written before the start: /dev, where they would live, is the user's
	Mounts  []Mount  // binds and volumes, in the order in which they were asked for
	Notices []string // what was asked and could not be, or means less here

	User       string // for init, resolved in the image
	Groups     []string
	KeepGroups bool
	Reaper     bool
	Remove     bool
	StopSignal string
	SingleID   bool
	FakeRoot   bool // the workload may believe itself root over ids that do not exist
}

// File is a file of the container that rl manages.
type File struct {
	Name string
	Path string // in Facts.FilesDir
	Data string
}

// Mount is a bind mount or a volume of the container.
type Mount struct {
	option.Mount
	Dir string // of a volume: where its content is on the host
}

// New makes the plan of one container.
func New(image *v1.ImageConfig, f *Flags, h *Facts) (*Plan, error) {
	p := &Plan{
		Spec:   &specs.Spec{Version: specs.Version, Linux: &specs.Linux{}, Root: &specs.Root{Path: "rootfs", Readonly: f.ReadOnly}},
		Reaper: f.Init, Remove: f.Remove, SingleID: h.SingleID,
	}
	p.Notices = append(p.Notices, f.Security.Notices...)
	if h.Net != nil {
		p.Notices = append(p.Notices, h.Net.Notices...)
	}
	for _, step := range []func(*v1.ImageConfig, *Flags, *Facts) error{
		p.identity, p.namespaces, p.process, p.privileges, p.limits, p.resources, p.mounts, p.userMounts, p.files, p.hide, p.annotate,
	} {
		if err := step(image, f, h); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *Plan) notice(s string) { p.Notices = append(p.Notices, s) }

// identity writes the id maps, and who the workload is.
func (p *Plan) identity(image *v1.ImageConfig, f *Flags, h *Facts) error {
	for _, r := range h.Map.UIDs {
		p.Spec.Linux.UIDMappings = append(p.Spec.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: r.Container, HostID: r.Host, Size: r.Size})
	}
	for _, r := range h.Map.GIDs {
		p.Spec.Linux.GIDMappings = append(p.Spec.Linux.GIDMappings, specs.LinuxIDMapping{ContainerID: r.Container, HostID: r.Host, Size: r.Size})
	}
	if p.User = f.UserText; p.User == "" {
		p.User = image.User
	}
	if p.User == "" && f.Userns.Mode == option.KeepID && !h.SingleID {
		p.User = keptUser(f.Userns, h)
	}
	for _, g := range f.Groups {
		switch {
		case g == "keep-groups":
			p.KeepGroups = true
		case h.SingleID:
			p.notice("--group-add " + g + " has no effect: with a single mapped id there are no other groups")
		default:
			p.Groups = append(p.Groups, g)
		}
	}
	if h.SingleID {
		p.KeepGroups = true
		p.FakeRoot = h.Map.UIDs.Covers(0)
	}
	return nil
}
