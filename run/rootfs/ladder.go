package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"rl/userns/sys/fault"
)

// Missed is a rung that was tried in vain, and why.
type Missed struct {
	Driver string
	Err    error
}

// Reason is why, in one short sentence for a notice; Err has the details.
func (m Missed) Reason() string {
	text := m.Err.Error()
	if _, after, ok := strings.Cut(text, "cannot mount the overlay: "); ok {
		text = after
	}
	text = strings.TrimPrefix(text, "rootfs driver "+m.Driver+": cannot serve the overlay: ")
	why, _, _ := strings.Cut(text, ": ")
	return why
}

// Ladder tries drivers in order, best first, by mounting with them. It is a
// Driver itself; after Mount it knows which rung held.
type Ladder struct {
	rungs  []Driver
	chosen Driver
	missed []Missed
}

// Choose builds the ladder: kernel, fuse, copy. A pin (from --rootfs-driver) leaves
// just that rung; "" and "auto" leave all. No system call is made here.
func Choose(pin string) (*Ladder, error) { return choose(pin, &Kernel{}, &Fuse{}, &Copy{}) }

func choose(pin string, drivers ...Driver) (*Ladder, error) {
	if pin == "" || pin == "auto" {
		return &Ladder{rungs: drivers}, nil
	}
	var names []string
	for _, d := range drivers {
		if d.Name() == pin {
			return &Ladder{rungs: []Driver{d}}, nil
		}
		names = append(names, d.Name())
	}
	return nil, fault.New("choose one of auto, "+strings.Join(names, ", "), "no rootfs driver is called %q", pin)
}

// Name is the name of the driver that mounted, or of the ladder's rungs before.
func (l *Ladder) Name() string {
	if l.chosen != nil {
		return l.chosen.Name()
	}
	var names []string
	for _, d := range l.rungs {
		names = append(names, d.Name())
	}
	return strings.Join(names, "|")
}

// Missed tells what better rungs were tried and why they did not hold.
func (l *Ladder) Missed() []Missed { return l.missed }

// Notices are what the chosen driver wants a person to know.
func (l *Ladder) Notices() []string {
	if n, ok := l.chosen.(interface{ Notices() []string }); ok {
		return n.Notices()
	}
	return nil
}

// Mount tries the rungs. An error that is no refusal (a missing layer, a full
// disk) ends the climb: the next rung would only hide it.
func (l *Ladder) Mount(t Tree) (unmount func() error, err error) {
	l.chosen, l.missed = nil, nil
	var all []error
	copied := Copied(t)
	for _, d := range l.rungs {
		unmount, err := mountUnlessCopied(d, t, copied)
		if err == nil {
			l.chosen = d
			return unmount, nil
		}
		err = fmt.Errorf("rootfs driver %s: %w", d.Name(), err)
		if !errors.Is(err, ErrRefused) {
			return nil, err
		}
		l.missed = append(l.missed, Missed{d.Name(), err})
		all = append(all, err)
	}
	return nil, errors.Join(all...)
}

// mountUnlessCopied keeps the drivers that stack layers from a directory that has all of
// them: below it what was deleted would come back.
func mountUnlessCopied(d Driver, t Tree, copied bool) (func() error, error) {
	if _, ok := d.(*Copy); !ok && copied {
		return nil, refused{errors.New("the container was put together as a copy, and stays one")}
	}
	return d.Mount(t)
}
