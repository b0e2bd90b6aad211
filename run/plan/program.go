package plan

import (
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/run/inside/program"
	"rl/run/plan/option"
)

// Program compiles the plan to what init executes. root is where the monitor
// mounts the root file system; look tells of a bind's source where it is when all
// links are followed, "" for what has no such place, and whether it is no directory.
// Filters are the caller's to add: they are compiled elsewhere.
func (p *Plan) Program(root string, look Look) *program.Program {
	s := p.Spec
	out := &program.Program{
		Root: root, Hostname: s.Hostname, Domainname: s.Domainname, LoopbackUp: p.Private(specs.NetworkNamespace),
		CgroupNS: p.Private(specs.CgroupNamespace), ReadOnly: s.Root.Readonly,
		User: p.User, Groups: p.Groups, KeepGroups: p.KeepGroups, SingleID: p.SingleID,
		NoNewPriv: s.Process.NoNewPrivileges, Terminal: s.Process.Terminal, Reaper: p.Reaper,
		Cwd: s.Process.Cwd, Argv: s.Process.Args, Env: s.Process.Env,
	}
	if o := s.Process.OOMScoreAdj; o != nil {
		out.SetOOM, out.OOMScore = true, int32(*o)
	}
	if u := s.Process.User.Umask; u != nil {
		out.Umask, out.SetUmask = *u, true
	}
	for _, c := range s.Process.Capabilities.Bounding {
		if n, ok := option.CapNumber(c); ok {
			out.Caps |= 1 << n
		}
	}
	for _, l := range s.Process.Rlimits {
		out.Rlimits = append(out.Rlimits, program.Rlimit{Name: strings.ToLower(strings.TrimPrefix(l.Type, "RLIMIT_")), Resource: resource(l.Type), Soft: l.Soft, Hard: l.Hard})
	}
	out.Ops = p.operations(look)
	if h := s.Hooks; h != nil {
		out.CreateContainer, out.StartContainer = Hooks(h.CreateContainer), Hooks(h.StartContainer)
	}
	return out
}

// Hooks are hooks as those who run them want them.
func Hooks(list []specs.Hook) []program.Hook {
	var out []program.Hook
	for _, h := range list {
		p := program.Hook{Path: h.Path, Args: h.Args, Env: h.Env}
		if h.Timeout != nil {
			p.Timeout = uint32(*h.Timeout)
		}
		out = append(out, p)
	}
	return out
}

func resource(kind string) int {
	u, _ := option.ParseUlimit(strings.ToLower(strings.TrimPrefix(kind, "RLIMIT_")) + "=0")
	return u.Resource
}

// Look is how Program looks at the source of a bind.
type Look func(source string) (resolved string, isFile bool)

func (p *Plan) operations(look Look) []program.Op {
	var ops []program.Op
	for _, m := range p.Spec.Mounts {
		var op program.Op
		if v, ok := p.part(m); ok {
			m.Source = v.Dir
			op = mountOp(m, func(string) (string, bool) { return "", false })
			op.Opts, op.Data = op.Opts|program.OptWithin, v.Subpath
		} else {
			op = mountOp(m, look)
		}
		if data, ok := p.file(m); ok {
			op = program.Op{Kind: program.File, Target: m.Destination, Data: data, Mode: 0o644}
		}
		if m.Destination == "/proc" && m.Type == "proc" && !p.Private(specs.PIDNamespace) {
			op.Opts |= program.OptOptional // the host's processes are what was asked for
		}
		ops = append(ops, op)
		if m.Destination == "/dev" && m.Type == "tmpfs" {
			ops = append(ops, devices()...)
		}
	}
	if p.FakeRoot {
		ops = append(ops, fakeRootFiles()...)
	}
	// The working directory, as long as the root file system can be written.
	ops = append(ops, program.Op{Kind: program.Mkdir, Opts: program.OptOptional, Mode: 0o755, Target: p.Spec.Process.Cwd})
	ops = procLast(ops)
	for _, k := range sorted(p.Spec.Linux.Sysctl) {
		ops = append(ops, program.Op{Kind: program.Sysctl, Target: "/proc/sys/" + strings.ReplaceAll(k, ".", "/"), Data: p.Spec.Linux.Sysctl[k]})
	}
	for _, path := range p.Spec.Linux.ReadonlyPaths {
		ops = append(ops, program.Op{Kind: program.ReadOnly, Target: path})
	}
	for _, path := range p.Spec.Linux.MaskedPaths {
		ops = append(ops, program.Op{Kind: program.Mask, Target: path})
	}
	return ops
}

// procLast moves what is mounted on /proc, or below, behind everything else. With
// a procfs inside, links of the image to /proc/self/fd/N would lead to the
// descriptors that init still has open; without one they lead nowhere.
func procLast(ops []program.Op) []program.Op {
	var first, last []program.Op
	for _, op := range ops {
		if op.Target == "/proc" || strings.HasPrefix(op.Target, "/proc/") {
			last = append(last, op)
		} else {
			first = append(first, op)
		}
	}
	return append(first, last...)
}

// file gives the content of a file that rl manages: the specification binds it
// from the container's directory, where it is written beside the start; init has
// it in memory.
func (p *Plan) file(m specs.Mount) (data string, ok bool) {
	if p.OnDisk {
		return "", false
	}
	for _, f := range p.Files {
		if m.Type == "bind" && m.Source == f.Path {
			return f.Data, true
		}
	}
	return "", false
}

// part finds the volume of which a mount shows a part only.
func (p *Plan) part(m specs.Mount) (Mount, bool) {
	for _, v := range p.Mounts {
		if v.Subpath != "" && v.Target == m.Destination {
			return v, true
		}
	}
	return Mount{}, false
}

// devices are what every container finds in /dev.
func devices() []program.Op {
	var ops []program.Op
	for _, d := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		ops = append(ops, program.Op{Kind: program.Device, Opts: program.OptIsFile, Source: "/dev/" + d, Target: "/dev/" + d})
	}
	for _, l := range [][2]string{{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
		{"/proc/self/fd/2", "stderr"}, {"/proc/kcore", "core"}, {"pts/ptmx", "ptmx"}} {
		ops = append(ops, program.Op{Kind: program.Symlink, Source: l[0], Target: "/dev/" + l[1]})
	}
	return ops
}

// fakeRootFiles tells programs that check what they did about the single id:
// apt verifies that it became its user _apt, which the filter only pretends.
func fakeRootFiles() []program.Op {
	return []program.Op{{Kind: program.Write, Mode: 0o644, Target: "/etc/apt/apt.conf.d/99rl-single-id",
		Data: "// Written by rl: this container has a single user id, so apt cannot become _apt.\nAPT::Sandbox::User \"root\";\n"}}
}

var propagations = [...]struct {
	name string
	flag uint64
}{
	{"private", syscall.MS_PRIVATE}, {"rprivate", syscall.MS_PRIVATE | syscall.MS_REC},
	{"shared", syscall.MS_SHARED}, {"rshared", syscall.MS_SHARED | syscall.MS_REC},
	{"slave", syscall.MS_SLAVE}, {"rslave", syscall.MS_SLAVE | syscall.MS_REC},
}

var mountFlags = [...]struct {
	name string
	flag uint64
}{
	{"ro", syscall.MS_RDONLY}, {"nosuid", syscall.MS_NOSUID}, {"nodev", syscall.MS_NODEV}, {"noexec", syscall.MS_NOEXEC},
	{"noatime", syscall.MS_NOATIME}, {"nodiratime", syscall.MS_NODIRATIME}, {"relatime", syscall.MS_RELATIME},
	{"strictatime", syscall.MS_STRICTATIME}, {"sync", syscall.MS_SYNCHRONOUS}, {"dirsync", syscall.MS_DIRSYNC},
	{"bind", syscall.MS_BIND}, {"rbind", syscall.MS_BIND | syscall.MS_REC},
}

// mountOp turns a mount of the specification into init's operation.
func mountOp(m specs.Mount, look Look) program.Op {
	op := program.Op{Kind: program.Mount, Type: m.Type, Source: m.Source, Target: m.Destination}
	switch m.Type {
	case "proc":
		op.Kind = program.Proc
	case "sysfs":
		op.Kind = program.Sysfs
	case "bind":
		op.Kind = program.Bind
		resolved, isFile := look(m.Source)
		if resolved != "" {
			op.Source, op.Opts = resolved, op.Opts|program.OptNoLinks
		}
		if isFile {
			op.Opts |= program.OptIsFile
		}
	case "cgroup2", "mqueue":
		op.Opts |= program.OptOptional
	}
	var data []string
	for _, o := range m.Options {
		if !setFlag(&op, o) {
			data = append(data, o)
		}
	}
	op.Data = strings.Join(data, ",")
	return op
}

func setFlag(op *program.Op, word string) bool {
	if word == "rro" {
		op.Opts |= program.OptRecursiveRO
		return true
	}
	for _, p := range propagations {
		if p.name == word {
			op.Prop = p.flag
			return true
		}
	}
	for _, f := range mountFlags {
		if f.name == word {
			op.Flags |= f.flag
			return true
		}
	}
	switch word {
	case "rw", "suid", "dev", "exec", "atime", "diratime", "async": // the kernel's defaults
		return true
	}
	return false
}
