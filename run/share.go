package run

import (
	"encoding/json"
	"fmt"
	"os"

	"rl/run/monitor"
	"rl/run/plan"
	"rl/run/plan/option"
	"rl/run/state"
	"rl/userns"
	"rl/userns/idmap"
	"rl/userns/probe"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// --network container:NAME puts a container into another one's network namespace.
// That namespace belongs to the other's user namespace, so the new container has to
// live in there, too: its ids are the other's, and its monitor is a child of the
// other's, with which it ends.

// share finds the container whose network is asked for. One that has the host's
// has nothing to share but that.
func (p *preparation) share() (*state.Record, error) {
	name := p.Flags.Network.Arg
	rec, err := p.State.Find(name)
	switch {
	case err != nil:
		return nil, err
	case !p.State.Running(rec.ID):
		return nil, fault.New("start it first", "cannot join the network of container %s: it is not running", rec.Name)
	case rec.Network == string(probe.NetHost):
		p.network = rec.Network
		return nil, nil
	case p.Flags.Userns.Mode == option.KeepID:
		return nil, fault.New("leave --userns away: the ids are those of "+rec.Name,
			"conflicting options: --userns and the network mode container")
	case p.Flags.Pid.Name == option.Host:
		return nil, fault.New("leave one of them away", "conflicting options: --pid host and the network mode container")
	}
	p.id = &Identity{Choice: p.id.Choice, Map: rec.Map, Helpers: rec.Helpers, Single: rec.Map.Name() == idmap.SingleName}
	return rec, nil
}

// startShared has the other container's monitor start ours.
func (p *preparation) startShared(rec *state.Record) error {
	ours, theirs, err := sys.Socketpair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	fds := []int{theirs.Fd()}
	for _, f := range p.Stdio {
		if f == nil {
			f = null
		}
		fds = append(fds, int(f.Fd()))
	}
	var answer []byte
	err = unless(p.ctx, func() (err error) {
		answer, err = monitor.Ask(rec.Control, []byte{monitor.AskJoin}, fds...)
		return err
	})
	if err != nil {
		ours.Close()
		return fmt.Errorf("join the network of container %s: %w", rec.Name, err)
	}
	p.child = userns.Foreign(ours)
	var names monitor.Names
	if err := json.Unmarshal(answer, &names); err != nil {
		return fmt.Errorf("join the network of container %s: %w", rec.Name, err)
	}
	p.conn.other = &plan.Other{Hostname: names.Hostname, Resolv: names.Resolv, Hosts: names.Hosts}
	return nil
}
