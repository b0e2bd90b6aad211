package seccomp

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var machines = []string{"amd64", "arm64"}

func TestDefaultProfileCompilesToItself(t *testing.T) {
	for _, goarch := range machines {
		for what, caps := range map[string][]string{"no capabilities": nil, "docker's": dockerCaps(), "admin": {"CAP_SYS_ADMIN", "CAP_SYS_PTRACE"}} {
			spec, err := Default(caps)
			if err != nil {
				t.Fatal(err)
			}
			if goarch == "arm64" { // Default picks this machine's
				spec.Architectures = []specs.Arch{specs.ArchAARCH64, specs.ArchARM}
			}
			t.Logf("%s, %s: %d instructions", goarch, what, agree(t, goarch, spec, 1, 4))
		}
	}
}

func TestFakeRootCompilesToItself(t *testing.T) {
	for _, goarch := range machines {
		for _, notify := range []bool{true, false} {
			n := agree(t, goarch, FakeRootProfile(notify), 2, 12)
			t.Logf("%s, notify %v: %d instructions", goarch, notify, n)
			if n > 200 {
				t.Errorf("%d instructions for a handful of calls", n)
			}
		}
	}
}

// Random profiles: all operators, wide values, many rules, all default actions.
func TestRandomProfilesCompileToThemselves(t *testing.T) {
	for seed := range uint64(25) {
		spec := randomProfile(rand.New(rand.NewPCG(seed, 7)))
		for _, goarch := range machines {
			agree(t, goarch, spec, seed, 1)
		}
	}
}

func randomProfile(rnd *rand.Rand) *specs.LinuxSeccomp {
	var names []string
	for name := range testCalls() {
		names = append(names, name)
	}
	actions := []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActTrap, specs.ActLog, specs.ActTrace, specs.ActNotify}
	action := func() specs.LinuxSeccompAction { return actions[rnd.IntN(len(actions))] }
	value := func() uint64 { return rnd.Uint64() >> (rnd.UintN(5) * 15) }
	spec := &specs.LinuxSeccomp{DefaultAction: action()}
	for _, a := range []specs.Arch{specs.ArchX86, specs.ArchX32, specs.ArchARM, specs.ArchS390X} {
		if rnd.UintN(3) > 0 {
			spec.Architectures = append(spec.Architectures, a)
		}
	}
	for range rnd.UintN(35) {
		s := specs.LinuxSyscall{Action: action()}
		for range 1 + rnd.UintN(20) {
			s.Names = append(s.Names, names[rnd.IntN(len(names))])
		}
		s.Names = append(s.Names, "call_of_the_year_2050")
		if e := rnd.UintN(3000); e < 1000 {
			s.ErrnoRet = &e
		}
		for range rnd.UintN(4) {
			s.Args = append(s.Args, specs.LinuxSeccompArg{Index: rnd.UintN(6), Op: operators()[rnd.IntN(7)], Value: value(), ValueTwo: value() & 0xff})
			if rnd.UintN(2) == 0 { // a list of families, as for socket(2)
				a := s.Args[len(s.Args)-1]
				a.Op = specs.OpEqualTo
				for range rnd.UintN(5) {
					a.Value += uint64(rnd.UintN(3))
					spec.Syscalls = append(spec.Syscalls, specs.LinuxSyscall{Names: s.Names, Action: s.Action, ErrnoRet: s.ErrnoRet, Args: []specs.LinuxSeccompArg{a}})
				}
			}
		}
		spec.Syscalls = append(spec.Syscalls, s)
	}
	return spec
}

// A profile too long for 8-bit jumps still works: every call has its own errno.
func TestLongJumps(t *testing.T) {
	spec := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86}}
	var e uint
	for name := range testCalls() {
		if e++; e%5 > 1 {
			continue
		}
		errno := e
		spec.Syscalls = append(spec.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActErrno, ErrnoRet: &errno,
			Args: []specs.LinuxSeccompArg{{Index: e % 6, Op: specs.OpGreaterThan, Value: uint64(e) << 20}}})
	}
	if n := agree(t, "amd64", spec, 3, 3); n < 1500 {
		t.Errorf("only %d instructions: no test of long jumps", n)
	}
	two := uint(2)
	for range 6 {
		for name := range testCalls() {
			spec.Syscalls = append(spec.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActErrno, ErrnoRet: &two,
				Args: []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpLessThan, Value: uint64(len(spec.Syscalls)) << 33}}})
		}
	}
	if _, _, err := compileFor("amd64", spec); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("a program longer than the kernel takes: %v", err)
	}
}

// What a person expects of particular calls, spelled out.
func TestVerdicts(t *testing.T) {
	spec, err := Default(dockerCaps())
	if err != nil {
		t.Fatal(err)
	}
	spec.Architectures = []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	fake := FakeRootProfile(true)
	blank := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}}}
	for _, c := range []struct {
		what string
		spec *specs.LinuxSeccomp
		d    data
		want uint32
	}{
		{"read", spec, data{nr: 0, arch: auditX8664}, retAllow},
		{"keyctl", spec, data{nr: 250, arch: auditX8664}, retErrno | eperm},
		{"clone3", spec, data{nr: 435, arch: auditX8664}, retErrno | enosys},
		{"fork by clone", spec, data{nr: 56, arch: auditX8664, args: [6]uint64{0x01200011}}, retAllow},
		{"clone a user namespace", spec, data{nr: 56, arch: auditX8664, args: [6]uint64{0x10000011}}, retErrno | eperm},
		{"a call of the future", spec, data{nr: 9999, arch: auditX8664}, retErrno | enosys},
		{"x32 read", spec, data{nr: x32Bit, arch: auditX8664}, retAllow},
		{"i386 read", spec, data{nr: 3, arch: auditI386}, retAllow},
		{"arm on x86", spec, data{nr: 3, arch: auditARM}, retKillProcess},
		{"a tracer's skip", spec, data{nr: 0xffffffff, arch: auditX8664}, retAllow},
		{"a vsock", spec, data{nr: 41, arch: auditX8664, args: [6]uint64{40}}, retErrno | eperm},
		{"an internet socket", spec, data{nr: 41, arch: auditX8664, args: [6]uint64{2}}, retAllow},
		{"an unlisted ABI", blank, data{nr: 3, arch: auditI386}, retKillProcess},
		{"unlisted x32", blank, data{nr: x32Bit, arch: auditX8664}, retKillProcess},
		{"chown", fake, data{nr: 92, arch: auditX8664}, retErrno},
		{"i386 chown32", fake, data{nr: 212, arch: auditI386}, retErrno},
		{"x32 chown", fake, data{nr: x32Bit + 92, arch: auditX8664}, retErrno},
		{"setfsuid(-1)", fake, data{nr: 122, arch: auditX8664, args: [6]uint64{0xffffffffffffffff}}, retAllow},
		{"setfsuid(5)", fake, data{nr: 122, arch: auditX8664, args: [6]uint64{5}}, retErrno},
		{"mknod of a fifo", fake, data{nr: 133, arch: auditX8664, args: [6]uint64{0, 0o010644}}, retAllow},
		{"mknod of a character device", fake, data{nr: 133, arch: auditX8664, args: [6]uint64{0, 0o020666, 0x103}}, retNotify},
		{"mknod of a whiteout", fake, data{nr: 133, arch: auditX8664, args: [6]uint64{0, 0o020000, 0}}, retAllow},
		{"mknodat of a block device 0:0", fake, data{nr: 259, arch: auditX8664, args: [6]uint64{0, 0, 0o060666}}, retNotify},
		{"lsetxattr", fake, data{nr: 189, arch: auditX8664}, retNotify},
		{"a foreign machine's call", fake, data{nr: 92, arch: auditAArch64}, retKillProcess},
	} {
		prog, _, err := compileFor("amd64", c.spec)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := execute(prog, c.d); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.what, got, c.want)
		}
	}
}

// The search is short: no call takes more steps than a binary search would.
func TestSteps(t *testing.T) {
	spec, err := Default(dockerCaps())
	if err != nil {
		t.Fatal(err)
	}
	spec.Architectures = []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	prog, _, err := compileFor("amd64", spec)
	if err != nil {
		t.Fatal(err)
	}
	worst := 0
	for nr := range uint32(480) {
		for _, base := range []uint32{0, x32Bit} {
			_, steps := execute(prog, data{nr: base + nr, arch: auditX8664})
			worst = max(worst, steps)
		}
	}
	t.Logf("%d instructions, at most %d executed", len(prog)/8, worst)
	if worst > 32 {
		t.Errorf("%d steps", worst)
	}
}

func TestCompileErrors(t *testing.T) {
	big := uint(5000)
	for want, spec := range map[string]*specs.LinuxSeccomp{
		"defaultAction: no action given":                          {},
		`defaultAction: unknown action "SCMP_ACT_ALLOWED"`:        {DefaultAction: "SCMP_ACT_ALLOWED"},
		`architectures[0]: unknown architecture "amd64"`:          {DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"amd64"}},
		"syscalls[0] (read): action: errno 5000 is above 4095":    {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActErrno, ErrnoRet: &big}}},
		"syscalls[0] (no names): args[0]: index 6: a system call": {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Index: 6, Op: specs.OpEqualTo}}}}},
		`syscalls[0] (read): args[0]: unknown operator "=="`:      {DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Op: "=="}}}}},
		`flags[0]: unknown flag "FAST"`:                           {DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"FAST"}},
	} {
		if _, _, err := Compile(spec); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, _, err := compileFor("riscv64", &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}); err == nil || !strings.Contains(err.Error(), "riscv64") {
		t.Errorf("a machine without a table: %v", err)
	}
}

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		flags []specs.LinuxSeccompFlag
		want  uint32
	}{
		{nil, flagSpecAllow},
		{[]specs.LinuxSeccompFlag{}, 0},
		{[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow}, flagLog | flagSpecAllow},
	} {
		if _, got, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: c.flags}); err != nil || got != c.want {
			t.Errorf("%v: %#x %v, want %#x", c.flags, got, err, c.want)
		}
	}
}

// Rules are tried in order; libseccomp would let the one without conditions win.
func TestFirstMatchDecides(t *testing.T) {
	spec := &specs.LinuxSeccomp{DefaultAction: specs.ActKillProcess, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"ioctl"}, Action: specs.ActLog, Args: []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo, Value: 7}, {Index: 2, Op: specs.OpGreaterThan, Value: 1 << 40}}},
		{Names: []string{"ioctl"}, Action: specs.ActErrno},
		{Names: []string{"ioctl"}, Action: specs.ActAllow},
	}}
	prog, _, err := compileFor("amd64", spec)
	if err != nil {
		t.Fatal(err)
	}
	for want, args := range map[uint32][6]uint64{retLog: {0, 7, 1<<40 + 1}, retErrno | eperm: {0, 7, 1 << 40}} {
		if got, _ := execute(prog, data{nr: 16, arch: auditX8664, args: args}); got != want {
			t.Errorf("ioctl%v: %#x, want %#x", args, got, want)
		}
	}
}
