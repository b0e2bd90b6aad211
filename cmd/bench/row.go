package main

import (
	"fmt"
	"os"
	"strings"
)

// A row is one thing that all contenders are measured at, inside their own
// containers: each gives its own number. Who cannot take part is said.
type row struct {
	what    string
	unit    string
	scale   float64 // from what was measured to the unit
	more    bool    // more is better
	mine    string  // whose goals these are; empty: rl
	goals   []against
	figures []figure
	absent  []string // a name and why
}

// against is a goal of rl's: so many times the peer, at least where more is
// better and at most where less is.
type against struct {
	peer  string
	limit float64
}

// A runner measures one contender once.
type runner struct {
	name string
	do   func() (float64, error)
	lack string // why it cannot be run here; empty: it can
}

// measure interleaves the rounds, each contender beginning once. Who fails is
// out, with the reason, and the others go on.
func (r *row) measure(rounds int, list []runner) {
	figures := make([]figure, len(list))
	lack := make([]string, len(list))
	for i, c := range list {
		figures[i].name, lack[i] = c.name, c.lack
	}
	for round := range rounds {
		for k := range list {
			i := (k + round) % len(list)
			if lack[i] != "" {
				continue
			}
			v, err := list[i].do()
			if err != nil {
				lack[i] = strings.Join(strings.Fields(err.Error()), " ")
				continue
			}
			figures[i].values = append(figures[i].values, v)
		}
	}
	for i, f := range figures {
		if lack[i] != "" {
			r.absent = append(r.absent, f.name+": "+lack[i])
		} else {
			r.figures = append(r.figures, f)
		}
	}
	r.tell()
}

const notAvailable = "not available"

func (r *row) whose() string {
	if r.mine == "" {
		return netRl
	}
	return r.mine
}

// tell shows on the screen what came out.
func (r *row) tell() {
	fmt.Fprintf(os.Stderr, "  %s\n", r.what)
	for _, f := range r.figures {
		fmt.Fprintf(os.Stderr, "    %-16s %10.3f %s\n", f.name, f.median()*r.scale, r.unit)
	}
	for _, a := range r.absent {
		fmt.Fprintf(os.Stderr, "    not available: %s\n", a)
	}
}

func (r *row) verdicts() []goal {
	var list []goal
	sign := "≤"
	if r.more {
		sign = "≥"
	}
	for _, g := range r.goals {
		v := goal{what: r.what + ", against " + g.peer, want: fmt.Sprintf("%s %.2g ×", sign, g.limit), got: notAvailable}
		mine, ok1 := find(r.figures, r.whose())
		other, ok2 := find(r.figures, g.peer)
		if ok1 && ok2 && other.median() > 0 {
			ratio := mine.median() / other.median()
			v.got = fmt.Sprintf("%.2f ×", ratio)
			v.met = r.more && ratio >= g.limit || !r.more && ratio <= g.limit
		}
		list = append(list, v)
	}
	return list
}

// rows prints a table with a column for each contender: its median, and behind
// it rl's figure over its.
func (p *printer) rows(names []string, rows []*row) {
	p.f("| | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, r := range rows {
		p.f("| %s, %s |", r.what, r.unit)
		mine, ok := find(r.figures, r.whose())
		for _, name := range names {
			f, has := find(r.figures, name)
			switch {
			case !has:
				p.f(" not available |")
			case name == r.whose() || !ok || f.median() == 0:
				p.f(" %s |", short(f.median()*r.scale))
			default:
				p.f(" %s (%.2f ×) |", short(f.median()*r.scale), mine.median()/f.median())
			}
		}
		p.f("\n")
	}
	p.f("\n")
	said := map[string]bool{}
	for _, r := range rows {
		for _, a := range r.absent {
			if !said[a] {
				p.f("Not available: %s.\n", strings.TrimSuffix(a, "."))
				said[a] = true
			}
		}
	}
	if len(said) > 0 {
		p.f("\n")
	}
}

// short keeps three digits that mean something.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
