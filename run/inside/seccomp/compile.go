package seccomp

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// What a filter returns: SECCOMP_RET_* of <linux/seccomp.h>.
const (
	retKillProcess = 0x80000000
	retKillThread  = 0x00000000
	retTrap        = 0x00030000
	retErrno       = 0x00050000
	retNotify      = 0x7fc00000
	retTrace       = 0x7ff00000
	retLog         = 0x7ffc0000
	retAllow       = 0x7fff0000

	eperm  = 1
	enosys = 38
)

// Compile turns a profile into a program for this machine's architecture: an
// array of struct sock_filter in native byte order for filter.Install, and the
// SECCOMP_FILTER_FLAG_* that belong to it. Its errors name the rule.
//
// Where the runtime-spec leaves room it does what runc does:
//   - names that no ABI of this machine has are ignored; profiles are written
//     for all kernels and machines.
//   - a call newer than everything the profile names gets ENOSYS rather than
//     the default action, when that is a refusal: programs try a new call and
//     fall back on ENOSYS, but take EPERM for an answer. (runc's patchbpf.)
//   - the native ABI is always filtered; the others when the profile lists
//     them. A call by any other entry kills the process.
//   - a rule's conditions must all hold; but when two are about the same
//     argument, each counts as a rule of its own (opencontainers/runc#2735).
//
// It differs in one thing: rules for the same call are tried in the profile's
// order and the first that matches decides, where libseccomp lets a rule
// without conditions hide the others.
func Compile(spec *specs.LinuxSeccomp) (prog []byte, flags uint32, err error) {
	return compileFor(runtime.GOARCH, spec)
}

func compileFor(goarch string, spec *specs.LinuxSeccomp) ([]byte, uint32, error) {
	abis, err := abisFor(goarch, spec.Architectures)
	if err != nil {
		return nil, 0, err
	}
	p, err := resolve(spec)
	if err != nil {
		return nil, 0, err
	}
	flags, err := flagBits(spec)
	if err != nil {
		return nil, 0, err
	}
	a := newAssembler()
	// ABIs that share an audit architecture share a search over the numbers.
	dispatch := a.ret(retKillProcess)
	for i := len(abis); i > 0; {
		j := i - 1
		for j > 0 && abis[j-1].audit == abis[i-1].audit {
			j--
		}
		numbers := a.then(opLoad, offNr, a.search(segments(a, p, abis[j:i])))
		dispatch = a.branch(opEq, abis[j].audit, numbers, dispatch)
		i = j
	}
	entry := a.then(opLoad, offArch, dispatch)
	if int(entry)+1 > maxInstructions {
		return nil, 0, fmt.Errorf("the seccomp profile compiles to %d instructions, the kernel takes %d", int(entry)+1, maxInstructions)
	}
	return a.bytes(entry), flags, nil
}

// abisFor picks the machine's ABIs that the profile lists, and always the native one.
func abisFor(goarch string, want []specs.Arch) ([]abi, error) {
	all, err := abisOf(goarch)
	if err != nil {
		return nil, err
	}
	for i, w := range want {
		if !slices.Contains(knownArchitectures(), w) {
			return nil, fmt.Errorf("architectures[%d]: unknown architecture %q", i, w)
		}
	}
	picked := []abi{all[0]}
	for _, b := range all[1:] {
		if slices.Contains(want, b.arch) {
			picked = append(picked, b)
		}
	}
	return picked, nil
}

// segments maps every number that can enter by these ABIs (of one audit
// architecture, ascending bases) to its fate.
func segments(a *assembler, p *policy, abis []abi) []segment {
	var s []segment
	add := func(from uint32, to node) {
		switch {
		case len(s) > 0 && s[len(s)-1].from == from:
			s[len(s)-1].to = to
			if len(s) > 1 && s[len(s)-2].to == to {
				s = s[:len(s)-1]
			}
		case len(s) == 0 || s[len(s)-1].to != to:
			s = append(s, segment{from, to})
		}
	}
	byDefault := a.ret(p.def)
	for _, b := range abis {
		add(b.base, byDefault)
		known := p.byNumber(b)
		newest := newest(known, b)
		for _, c := range known {
			add(b.base+c.nr, p.chain(a, c.rules))
			if p.refuses() && newest >= 0 && int64(c.nr) >= newest {
				add(b.base+c.nr+1, a.ret(retErrno|enosys))
			} else {
				add(b.base+c.nr+1, byDefault)
			}
		}
	}
	if abis[len(abis)-1].column == colAMD64 {
		add(x32Bit, a.ret(retKillProcess)) // x32 is not listed
	}
	// -1 is what a tracer (strace, PRoot) writes to skip a call. The kernel
	// executes nothing for it, and any other answer would overwrite the tracer's.
	add(skipped, a.ret(retAllow))
	return s
}

// newest is the largest number that the profile names on this ABI, but for
// ARM's private calls, which lie far beyond the others.
// -1: it names none.
func newest(known []numbered, b abi) int64 {
	for i := len(known) - 1; i >= 0; i-- {
		if b.column != colARM || known[i].nr < armPrivate {
			return int64(known[i].nr)
		}
	}
	return -1
}
