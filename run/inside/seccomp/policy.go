package seccomp

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A policy is a profile with its words resolved: actions as return values,
// operators checked. It knows nothing of numbers; byNumber asks the table.
type policy struct {
	def   uint32
	rules []rule
	calls [][]call // of each rule
}

// A rule answers with ret when all its conditions hold.
type rule struct {
	conds []specs.LinuxSeccompArg
	ret   uint32
}

// numbered is a call of one ABI with its rules, first match first.
type numbered struct {
	nr    uint32
	rules []rule
}

// refuses says whether the default is a refusal, so that ENOSYS is the better
// answer to calls the profile's author could not know. (TRACE counts as
// allowing: a tracer sees to new calls itself. runc draws the same line.)
func (p *policy) refuses() bool {
	return p.def != retAllow && p.def != retLog && p.def&0xffff0000 != retTrace
}

func resolve(spec *specs.LinuxSeccomp) (*policy, error) {
	def, err := retOf(spec.DefaultAction, spec.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("defaultAction: %w", err)
	}
	if len(spec.Syscalls) > 10000 {
		return nil, fmt.Errorf("%d rules in syscalls, more than 10000", len(spec.Syscalls))
	}
	p := &policy{def: def}
	for i, call := range spec.Syscalls {
		ret, err := retOf(call.Action, call.ErrnoRet)
		if err != nil {
			return nil, fmt.Errorf("syscalls[%d] (%s): action: %w", i, first(call.Names), err)
		}
		repeated := false
		var seen [6]bool
		for j, arg := range call.Args {
			if arg.Index > 5 {
				return nil, fmt.Errorf("syscalls[%d] (%s): args[%d]: index %d: a system call has arguments 0 to 5", i, first(call.Names), j, arg.Index)
			}
			if !slices.Contains(operators(), arg.Op) {
				return nil, fmt.Errorf("syscalls[%d] (%s): args[%d]: unknown operator %q", i, first(call.Names), j, arg.Op)
			}
			repeated = repeated || seen[arg.Index]
			seen[arg.Index] = true
		}
		if !repeated {
			p.add(call.Names, rule{call.Args, ret})
			continue
		}
		for j := range call.Args {
			p.add(call.Names, rule{call.Args[j : j+1], ret})
		}
	}
	return p, nil
}

func (p *policy) add(names []string, r rule) {
	known := make([]call, 0, len(names))
	for _, name := range names {
		if c, ok := lookup(name); ok {
			known = append(known, c)
		}
	}
	p.calls = append(p.calls, known)
	p.rules = append(p.rules, r)
}

func first(names []string) string {
	if len(names) == 0 {
		return "no names"
	}
	return names[0]
}

// byNumber lists the calls of one ABI that have rules, in ascending order.
//
// It sorts plain integers, number<<32 | rule<<8 | place behind a gate: this is
// the hot part of a compilation, which every start of a container pays for.
func (p *policy) byNumber(b abi) []numbered {
	keys := make([]uint64, 0, 512)
	masks := map[uint32]uint32{} // of the gates
	for i, calls := range p.calls {
		for _, c := range calls {
			if c.nr[b.column] >= 0 {
				keys = append(keys, uint64(c.nr[b.column])<<32|uint64(i)<<8)
			}
			// Behind a gate the arguments are in memory, out of a filter's sight.
			if b.column == col386 && c.gate != 0 && len(p.rules[i].conds) == 0 {
				masks[uint32(c.gate)] = c.mask
				keys = append(keys, uint64(c.gate)<<32|uint64(i)<<8|uint64(c.place))
			}
		}
	}
	slices.Sort(keys)
	out := make([]numbered, 0, len(keys))
	rules := make([]rule, 0, len(keys)) // one allocation for all
	for _, k := range keys {
		nr, r := uint32(k>>32), p.rules[uint32(k)>>8]
		if v := k & 0xff; v != 0 {
			r = rule{[]specs.LinuxSeccompArg{word(0, uint64(masks[nr]), v)}, r.ret}
		}
		from := len(rules)
		rules = append(rules, r)
		if last := len(out) - 1; last >= 0 && out[last].nr == nr {
			out[last].rules = rules[from-len(out[last].rules):]
			continue
		}
		out = append(out, numbered{nr, rules[from:]})
	}
	return out
}

// retOf is the filter's return value for an action.
func retOf(action specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	data := func(byDefault uint32) (uint32, error) {
		if errno == nil {
			return byDefault, nil
		}
		if *errno > 4095 {
			return 0, fmt.Errorf("errno %d is above 4095", *errno)
		}
		return uint32(*errno), nil
	}
	switch action {
	case specs.ActAllow:
		return retAllow, nil
	case specs.ActErrno:
		d, err := data(eperm)
		return retErrno | d, err
	case specs.ActTrace:
		d, err := data(eperm)
		return retTrace | d, err
	case specs.ActKillProcess:
		return retKillProcess, nil
	case specs.ActKill, specs.ActKillThread:
		return retKillThread, nil
	case specs.ActTrap:
		return retTrap, nil
	case specs.ActLog:
		return retLog, nil
	case specs.ActNotify:
		return retNotify, nil
	case "":
		return 0, fmt.Errorf("no action given")
	}
	return 0, fmt.Errorf("unknown action %q", action)
}

// SECCOMP_FILTER_FLAG_*.
const (
	flagLog          = 1 << 1 // 4.14
	flagSpecAllow    = 1 << 2 // 4.17
	flagNewListener  = 1 << 3 // 5.0
	flagWaitKillable = 1 << 5 // 5.19
)

// flagBits are the profile's flags. When it has no "flags" at all, runc sets
// SPEC_ALLOW, so that before 5.16 a filter does not slow down the program by
// the speculative store bypass mitigation; "flags": [] asks for none.
func flagBits(spec *specs.LinuxSeccomp) (uint32, error) {
	if spec.Flags == nil {
		return flagSpecAllow, nil
	}
	var bits uint32
	for i, f := range spec.Flags {
		switch f {
		case specs.LinuxSeccompFlagLog:
			bits |= flagLog
		case specs.LinuxSeccompFlagSpecAllow:
			bits |= flagSpecAllow
		case specs.LinuxSeccompFlagWaitKillableRecv:
			bits |= flagWaitKillable
		case "SECCOMP_FILTER_FLAG_TSYNC": // the filter is installed by a process that is about to execve: no other thread lives on
		default:
			return 0, fmt.Errorf("flags[%d]: unknown flag %q", i, f)
		}
	}
	return bits, nil
}

func operators() []specs.LinuxSeccompOperator {
	return []specs.LinuxSeccompOperator{specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpEqualTo,
		specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual}
}

func knownArchitectures() []specs.Arch {
	return []specs.Arch{specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64, specs.ArchMIPS, specs.ArchMIPS64,
		specs.ArchMIPS64N32, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE,
		specs.ArchS390, specs.ArchS390X, specs.ArchPARISC, specs.ArchPARISC64, specs.ArchRISCV64, specs.ArchLOONGARCH64, specs.ArchM68K,
		specs.ArchSH, specs.ArchSHEB}
}
