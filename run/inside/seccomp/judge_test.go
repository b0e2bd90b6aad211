package seccomp

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// testCalls is the table as a map, parsed in another way than lookup does.
var testCalls = sync.OnceValue(func() map[string]call {
	m := map[string]call{}
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		var c call
		for i, n := range f[1:] {
			v, err := strconv.Atoi(n)
			if err != nil {
				v = -1
			}
			c.nr[i] = int32(v)
		}
		m[f[0]] = c
	}
	for i, name := range strings.Fields("socket bind connect listen accept getsockname getpeername socketpair send recv sendto recvfrom " +
		"shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg") {
		gated(m, name, "socketcall", 0xffffffff, uint32(i+1))
	}
	for first, names := range map[uint32]string{1: "semop semget semctl semtimedop", 11: "msgsnd msgrcv msgget msgctl", 21: "shmat shmdt shmget shmctl"} {
		for i, name := range strings.Fields(names) {
			gated(m, name, "ipc", 0xffff, first+uint32(i))
		}
	}
	return m
})

func gated(m map[string]call, name, gate string, mask, place uint32) {
	c, ok := m[name]
	if !ok {
		c.nr = [columns]int32{-1, -1, -1, -1, -1}
	}
	c.gate, c.mask, c.place = m[gate].nr[col386], mask, place
	m[name] = c
}

func TestLookup(t *testing.T) {
	for name, want := range testCalls() {
		if got, ok := lookup(name); !ok || got != want {
			t.Errorf("%s: %+v %v, want %+v", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "a", "zzz", "rea", "readd", "read 0", "waitpid\n", "_"} {
		if got, ok := lookup(name); ok {
			t.Errorf("%q: %+v", name, got)
		}
	}
	if len(table) > math.MaxUint16 {
		t.Error("the table outgrew its offsets")
	}
}

// judge evaluates a profile as its words say, knowing nothing of BPF, ranges
// or halves of words: what the compiled program is compared with.
func judge(goarch string, spec *specs.LinuxSeccomp, d data) uint32 {
	return judgeCalls(goarch, spec, look(spec), d)
}

// look finds each rule's calls in the table.
func look(spec *specs.LinuxSeccomp) [][]call {
	out := make([][]call, len(spec.Syscalls))
	for i, s := range spec.Syscalls {
		for _, name := range s.Names {
			if c, ok := testCalls()[name]; ok {
				out[i] = append(out[i], c)
			}
		}
	}
	return out
}

func judgeCalls(goarch string, spec *specs.LinuxSeccomp, known [][]call, d data) uint32 {
	all, err := abisOf(goarch)
	if err != nil {
		panic(err)
	}
	var b *abi
	for i, a := range all {
		listed := i == 0 || slices.Contains(spec.Architectures, a.arch)
		x32 := a.column == colX32
		if listed && a.audit == d.arch && (a.audit != auditX8664 || x32 == (d.nr >= x32Bit)) {
			b = &all[i]
		}
	}
	ours := slices.ContainsFunc(all, func(a abi) bool {
		return a.audit == d.arch && (a.column == all[0].column || slices.Contains(spec.Architectures, a.arch))
	})
	if !ours {
		return retKillProcess
	}
	if d.nr == skipped {
		return retAllow
	}
	if b == nil {
		return retKillProcess
	}
	def, err := retOf(spec.DefaultAction, spec.DefaultErrnoRet)
	if err != nil {
		panic(err)
	}
	newest, named := int64(-1), false
	for i, s := range spec.Syscalls {
		ret, err := retOf(s.Action, s.ErrnoRet)
		if err != nil {
			panic(err)
		}
		for _, c := range known[i] {
			if n := c.nr[b.column]; n >= 0 {
				if b.column != colARM || n < armPrivate {
					newest = max(newest, int64(n))
				}
				named = named || uint32(n)+b.base == d.nr
				if uint32(n)+b.base == d.nr && holds(s.Args, d) {
					return ret
				}
			}
			if b.column == col386 && c.gate != 0 {
				if len(s.Args) == 0 {
					newest = max(newest, int64(c.gate))
					named = named || uint32(c.gate) == d.nr
				}
				if uint32(c.gate) == d.nr && len(s.Args) == 0 && uint32(d.args[0])&c.mask == c.place {
					return ret
				}
			}
		}
	}
	switch specs.LinuxSeccompAction(spec.DefaultAction) {
	case specs.ActAllow, specs.ActLog, specs.ActTrace:
		return def
	}
	if newest >= 0 && !named && int64(d.nr-b.base) > newest {
		return retErrno | enosys
	}
	return def
}

func holds(args []specs.LinuxSeccompArg, d data) bool {
	seen := map[uint]int{}
	for _, a := range args {
		seen[a.Index]++
	}
	any, all, repeated := false, true, false
	for _, a := range args {
		repeated = repeated || seen[a.Index] > 1
		h := holdsOne(a, d.args[a.Index])
		any, all = any || h, all && h
	}
	if repeated {
		return any
	}
	return all
}

func holdsOne(a specs.LinuxSeccompArg, x uint64) bool {
	switch a.Op {
	case specs.OpEqualTo:
		return x == a.Value
	case specs.OpNotEqual:
		return x != a.Value
	case specs.OpGreaterThan:
		return x > a.Value
	case specs.OpGreaterEqual:
		return x >= a.Value
	case specs.OpLessThan:
		return x < a.Value
	case specs.OpLessEqual:
		return x <= a.Value
	case specs.OpMaskedEqual:
		return x&a.Value == a.ValueTwo
	}
	panic(a.Op)
}
