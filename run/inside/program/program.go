// Package program is the list of things that init does, in a form that init can
// read at once.
//
// The plan of a container is a standard runtime-spec configuration. Init runs
// before the packages that could parse one are initialised (see userns/sys/raw),
// so the front compiles the plan to a [Program]: plain data, mostly a list of
// [Op] that one loop executes, in the manner of bubblewrap. Like everything that
// init is made of, this package imports nothing.
package program

// Kind says what an [Op] does.
type Kind uint8

// The operations on the file system. Targets are paths inside the new root and
// are resolved there, by a process whose root it already is: no symbolic link of
// an image can lead out.
const (
	Mount    Kind = iota + 1 // mount Type on Target with Flags and Data; makes the directory
	Bind                     // bind Source, a path of the host, on Target
	Device                   // bind the host's device Source on Target
	Mkdir                    // make the directory Target with Mode
	Symlink                  // make Target a link to Source
	Mask                     // hide Target if it exists
	ReadOnly                 // make Target read-only if it exists
	Proc                     // mount a fresh procfs, or bind the host's where the kernel refuses
	Sysfs                    // mount a fresh sysfs, or bind the host's read-only
	Write                    // write Data to Target unless that exists or its directory does not
	Sysctl                   // write Data to Target, a path below /proc/sys
	File                     // put a file with Data, which lives in memory, on Target
)

// Bits of Op.Opts.
const (
	OptRecursiveRO = 1 << iota // make the mounts below read-only as well, where the kernel can (5.12)
	OptIsFile                  // Bind: the source is not a directory
	OptOptional                // a failure is not one
	OptWithin                  // Bind: what is bound is Data, a path in the directory Source, out of which no link leads
	OptNoLinks                 // Bind: there is no link in Source; one that there is now was put there since
)

// Op is one operation.
type Op struct {
	Kind   Kind
	Opts   uint32
	Mode   uint32 // permission bits of what is made
	Flags  uint64 // MS_* of mount(2)
	Prop   uint64 // propagation MS_*, applied afterwards; 0 leaves it
	Source string
	Target string
	Type   string
	Data   string
}

// Rlimit is one resource limit.
type Rlimit struct {
	Name       string // docker's, for errors
	Resource   int
	Soft, Hard uint64
}

// Hook is a program that is run at a point of the container's life, with its state as input.
type Hook struct {
	Path      string
	Args, Env []string
	Timeout   uint32 // seconds; 0 is none
}

// Program is all that init needs.
type Program struct {
	Join       uint64 // CLONE_NEW* of the namespaces of a running container to enter; then no operation is done
	Root       string // where the root file system is mounted
	Hostname   string // "" leaves it
	Domainname string
	CgroupNS   bool // make the cgroup that init is in by now the root of what the container sees
	LoopbackUp bool // a network namespace of its own: bring lo up
	Ops        []Op
	ReadOnly   bool // the root file system, after the operations
	Rlimits    []Rlimit

	CreateContainer []Hook // before pivot_root, among the host's files
	StartContainer  []Hook // last, in the container
	HookState       string // see package hook

	User       string   // name or number, ":group"; resolved in the image's passwd
	Groups     []string // supplementary groups, names or numbers
	KeepGroups bool     // leave the caller's supplementary groups
	SingleID   bool     // one id is mapped: uid and gid are what they are, and the filter fakes the rest
	Caps       uint64   // bounding set to keep, as bits
	NoNewPriv  bool

	Filter      []byte // seccomp profile, struct sock_filter array; empty for none
	FilterFlags uint32 // SECCOMP_FILTER_FLAG_*
	FakeRoot    []byte // fake root of the single-id rung, with user notification
	FakePlain   []byte // the same without, for where a listener exists already
	FakeFlags   uint32

	Umask      uint32
	SetUmask   bool // else it is 022
	OOMScore   int32
	SetOOM     bool
	Terminal   bool
	Rows, Cols uint32
	Reaper     bool // pid 1 is rl's own, which reaps (docker's --init)
	Cwd        string
	Argv       []string
	Env        []string
}
