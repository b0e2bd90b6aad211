package plan

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

const defaultShm = 64 << 20

// mounts lists what every container has mounted, in docker's order.
func (p *Plan) mounts(_ *v1.ImageConfig, f *Flags, h *Facts) error {
	sysfs := []string{"nosuid", "noexec", "nodev", "ro"}
	if f.Privileged {
		sysfs = sysfs[:3]
	}
	pts := []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
	if h.Map.GIDs.Covers(5) { // group tty; unmapped with a single id
		pts = append(pts, "gid=5")
	}
	p.Spec.Mounts = []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: pts},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: sysfs},
	}
	switch {
	case p.Private(specs.CgroupNamespace):
		p.Spec.Mounts = append(p.Spec.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup2", Source: "cgroup", Options: sysfs})
	case h.Cgroup2 && h.Network != "host": // else it comes with the host's /sys
		p.Spec.Mounts = append(p.Spec.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "bind", Source: "/sys/fs/cgroup", Options: []string{"rbind", "ro", "rro"}})
	}
	if p.Private(specs.IPCNamespace) {
		p.Spec.Mounts = append(p.Spec.Mounts, specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}})
	}
	size := f.ShmSize
	if size == 0 {
		size = defaultShm
	}
	switch {
	case f.IPC.Name == "none":
	case f.IPC.Name == "host":
		p.Spec.Mounts = append(p.Spec.Mounts, specs.Mount{Destination: "/dev/shm", Type: "bind", Source: "/dev/shm", Options: []string{"rbind"}})
	default:
		p.Spec.Mounts = append(p.Spec.Mounts, specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
			Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=" + strconv.FormatInt(size, 10)}})
	}
	return p.devices(f, h)
}

// devices binds the host's devices: nobody in a user namespace may make one.
func (p *Plan) devices(f *Flags, h *Facts) error {
	add := func(host, container string) {
		p.Spec.Mounts = append(p.Spec.Mounts, specs.Mount{Destination: container, Type: "bind", Source: host, Options: []string{"bind"}})
	}
	if f.Privileged {
		for _, d := range h.HostDevices {
			add(d, d)
		}
	}
	for _, d := range f.Devices {
		dir, err := h.IsDir(d.Host)
		if err != nil {
			return fault.New("--device takes a device of this host", "device %s: %w", d.Host, err)
		}
		if dir {
			p.Spec.Mounts = append(p.Spec.Mounts, specs.Mount{Destination: d.Container, Type: "bind", Source: d.Host, Options: []string{"rbind"}})
			continue
		}
		add(d.Host, d.Container)
	}
	return nil
}

// userMounts adds volumes, binds and tmpfs: those of the user, then those the
// image declares and nobody mounted on. Parents come before what lies in them.
func (p *Plan) userMounts(image *v1.ImageConfig, f *Flags, h *Facts) error {
	var asked []specs.Mount
	seen := map[string]bool{}
	said := f.Mounts
	for _, m := range f.Inherited { // what is said of this container counts more
		if !slices.ContainsFunc(f.Mounts, func(own option.Mount) bool { return own.Target == m.Target }) {
			said = append(said[:len(said):len(said)], m)
		}
	}
	for _, m := range said {
		if seen[m.Target] {
			return fault.New("mount one thing there", "duplicate mount point: %s", m.Target)
		}
		seen[m.Target] = true
		p.Notices = append(p.Notices, m.Notices...)
		s, err := p.userMount(m, h)
		if err != nil {
			return err
		}
		asked = append(asked, s)
	}
	for _, target := range sorted(image.Volumes) {
		target = path.Clean("/" + target)
		if seen[target] || target == "/" {
			continue
		}
		if kernels(target) {
			p.notice("the image's volume " + target + " is left out: the kernel's own files are there")
			continue
		}
		s, err := p.userMount(option.Mount{Type: option.Volume, Target: target}, h)
		if err != nil {
			return err
		}
		asked = append(asked, s)
	}
	slices.SortStableFunc(asked, func(a, b specs.Mount) int {
		return cmp.Compare(strings.Count(a.Destination, "/"), strings.Count(b.Destination, "/"))
	})
	kept := p.Spec.Mounts[:0]
	for _, m := range p.Spec.Mounts { // the user's mount takes the place of ours
		if !seen[m.Destination] {
			kept = append(kept, m)
		}
	}
	p.Spec.Mounts = append(kept, asked...)
	return nil
}

// kernels tells whether a path belongs to the file systems that every container
// has from the kernel, which an image may not replace.
func kernels(path string) bool {
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}

func (p *Plan) userMount(m option.Mount, h *Facts) (specs.Mount, error) {
	s := specs.Mount{Destination: m.Target, Options: append([]string{}, m.Options...)}
	if m.ReadOnly {
		s.Options = append(s.Options, "ro")
	}
	switch m.Type {
	case option.Tmpfs:
		s.Type, s.Source = "tmpfs", "tmpfs"
		return s, nil
	case option.Volume:
		v := Mount{Mount: m}
		v.Anonymous = m.Anonymous || m.Source == ""
		v.Source, v.Dir = h.Volume(m.Source, m.Target)
		p.Mounts = append(p.Mounts, v)
		s.Type, s.Source = "bind", path.Join(v.Dir, m.Subpath)
		s.Options = append(s.Options, "rbind", "rprivate")
		return s, nil
	}
	p.Mounts = append(p.Mounts, Mount{Mount: m})
	dir, err := h.IsDir(m.Source)
	if err != nil {
		return s, fault.New("create it first, or correct the path", "bind source %s: %w", m.Source, err)
	}
	s.Type, s.Source = "bind", m.Source
	kind := "bind"
	if m.Recursive && dir {
		kind = "rbind"
	}
	if m.ReadOnly && m.RecursiveReadOnly != "writable" {
		s.Options = append(s.Options, "rro")
	}
	prop := m.Propagation
	if prop == "" {
		prop = "rprivate"
	}
	s.Options = append(s.Options, kind, prop)
	return s, nil
}

// hide lists what docker hides from a container or shows read-only.
func (p *Plan) hide(_ *v1.ImageConfig, f *Flags, _ *Facts) error {
	l := p.Spec.Linux
	if !f.Privileged && !f.Security.UnmaskAll {
		l.MaskedPaths = []string{"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
			"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"}
		l.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
		open := func(s string) bool { return slices.Contains(f.Security.Unmask, s) }
		l.MaskedPaths = slices.DeleteFunc(l.MaskedPaths, open)
		l.ReadonlyPaths = slices.DeleteFunc(l.ReadonlyPaths, open)
	}
	l.MaskedPaths = append(l.MaskedPaths, f.Security.Mask...)
	return nil
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// files plans the container's own /etc/resolv.conf, hosts and hostname, bound
// from its directory as docker does, so that the image stays as it is. They come
// after the user's mounts: one on /etc does not hide them.
func (p *Plan) files(_ *v1.ImageConfig, f *Flags, h *Facts) error {
	seen := map[string]bool{}
	for _, m := range slices.Concat(f.Mounts, f.Inherited) {
		seen[m.Target] = true
	}
	p.OnDisk = seen["/dev"]
	add := func(name, data string) {
		if seen["/etc/"+name] {
			return // the user's own
		}
		file := File{Name: name, Path: filepath.Join(h.FilesDir, name), Data: data}
		p.Files = append(p.Files, file)
		p.Spec.Mounts = append(p.Spec.Mounts, specs.Mount{Destination: "/etc/" + name, Type: "bind",
			Source: file.Path, Options: []string{"bind", "rprivate"}})
	}
	add("resolv.conf", resolv(f, h))
	add("hosts", hosts(p.Spec.Hostname, f, h))
	if p.Spec.Hostname != "" {
		add("hostname", p.Spec.Hostname+"\n")
	}
	return nil
}
