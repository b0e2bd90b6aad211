package seccomp

import (
	"cmp"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// chain writes the rules of one call: the first whose conditions hold decides,
// and the default decides when none does.
func (p *policy) chain(a *assembler, rules []rule) node {
	if len(rules[0].conds) == 0 { // nearly always
		return a.ret(rules[0].ret)
	}
	next := a.ret(p.def)
	for i, r := range rules {
		if len(r.conds) == 0 { // nothing behind it is ever reached
			rules, next = rules[:i], a.ret(r.ret)
			break
		}
	}
	for i := len(rules); i > 0; {
		yes := a.ret(rules[i-1].ret)
		if n := equals(rules[:i]); n > 1 {
			next = anyOf(a, rules[i-n:i], yes, next)
			i -= n
			continue
		}
		conds := rules[i-1].conds
		for j := len(conds) - 1; j >= 0; j-- {
			yes = condition(a, conds[j], yes, next)
		}
		next = yes
		i--
	}
	return next
}

// equals counts how many rules at the end of the list say "this argument is
// exactly …, with this answer", about one argument and one upper half: the
// families that moby's profile allows to socket(2) are such a list.
func equals(rules []rule) int {
	single := func(r rule) bool { return len(r.conds) == 1 && r.conds[0].Op == specs.OpEqualTo }
	last := rules[len(rules)-1]
	n := 0
	for i := len(rules) - 1; i >= 0; i-- {
		r := rules[i]
		if !single(r) || r.ret != last.ret || r.conds[0].Index != last.conds[0].Index || r.conds[0].Value>>32 != last.conds[0].Value>>32 {
			break
		}
		n++
	}
	return n
}

// anyOf writes such a list as one search over the lower half.
func anyOf(a *assembler, rules []rule, yes, no node) node {
	if yes == no {
		return no
	}
	values := make([]uint32, len(rules))
	for i, r := range rules {
		values[i] = uint32(r.conds[0].Value)
	}
	slices.SortFunc(values, cmp.Compare)
	s := []segment{{0, no}}
	put := func(from uint32, to node) {
		switch last := &s[len(s)-1]; {
		case last.from == from:
			last.to = to
			if len(s) > 1 && s[len(s)-2].to == to {
				s = s[:len(s)-1]
			}
		case last.to != to:
			s = append(s, segment{from, to})
		}
	}
	for _, v := range values {
		put(v, yes)
		if v != 0xffffffff {
			put(v+1, no)
		}
	}
	arg := rules[0].conds[0]
	return high(a, arg.Index, uint32(arg.Value>>32), low(a, arg.Index, a.search(s)), no)
}

// high goes on at equal when the upper half of the argument is v.
func high(a *assembler, index uint, v uint32, equal, other node) node {
	return a.then(opLoad, offArgs+8*uint32(index)+4, a.branch(opEq, v, equal, other))
}

// low loads the lower half of the argument and goes on.
func low(a *assembler, index uint, next node) node {
	return a.then(opLoad, offArgs+8*uint32(index), next)
}

// condition writes one comparison of a 64-bit argument, whose halves a filter
// can only load one after the other. On a 32-bit ABI the upper half is 0.
func condition(a *assembler, c specs.LinuxSeccompArg, yes, no node) node {
	hi, lo := uint32(c.Value>>32), uint32(c.Value)
	upper := offArgs + 8*uint32(c.Index) + 4
	switch c.Op {
	case specs.OpEqualTo:
		return high(a, c.Index, hi, low(a, c.Index, a.branch(opEq, lo, yes, no)), no)
	case specs.OpNotEqual:
		return high(a, c.Index, hi, low(a, c.Index, a.branch(opEq, lo, no, yes)), yes)
	case specs.OpGreaterThan, specs.OpGreaterEqual, specs.OpLessThan, specs.OpLessEqual:
		// x >= v and x > v differ in the lower half only; x < v is not (x >= v).
		code, above, below := uint16(opGe), yes, no
		if c.Op == specs.OpGreaterThan || c.Op == specs.OpLessEqual {
			code = opGt
		}
		if c.Op == specs.OpLessThan || c.Op == specs.OpLessEqual {
			above, below = no, yes
		}
		equal := low(a, c.Index, a.branch(code, lo, above, below))
		return a.then(opLoad, upper, a.branch(opGt, hi, above, a.branch(opEq, hi, equal, below)))
	case specs.OpMaskedEqual: // x & Value == ValueTwo
		wantHi, wantLo := uint32(c.ValueTwo>>32), uint32(c.ValueTwo)
		if wantHi&^hi != 0 || wantLo&^lo != 0 {
			return no // asks for a bit that the mask clears
		}
		rest := yes
		if lo != 0 {
			rest = low(a, c.Index, a.masked(lo, wantLo, yes, no))
		}
		if hi != 0 {
			rest = a.then(opLoad, upper, a.masked(hi, wantHi, rest, no))
		}
		return rest
	}
	panic("unknown operator: resolve lets none through")
}

// masked compares the accumulator under a mask, which is skipped when it is full.
func (a *assembler) masked(mask, want uint32, yes, no node) node {
	test := a.branch(opEq, want, yes, no)
	if mask == 0xffffffff || yes == no {
		return test
	}
	return a.then(opAnd, mask, test)
}
