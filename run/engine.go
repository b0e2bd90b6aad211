// Package run conducts: it is the only room that sees images, namespaces, root
// file systems and plans together, and puts a container together from them.
//
//	Pull     source ─▶ blobs in the store, layers unpacked in a user namespace
//	Run      image ─▶ plan ─▶ monitor ─▶ init ─▶ workload; the front stays with it
//	Images   what the store has
//
// Everything is reached through an [Engine]. Nothing here prints: what a person
// should know goes to Engine.Notice.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"rl/oci/registry"
	"rl/oci/store"
	"rl/run/plan/option"
	"rl/run/state"
	"rl/userns"
	"rl/userns/idmap"
	"rl/userns/probe"
	"rl/userns/sys/fault"
)

// Settings are what the command line, the environment and the configuration
// files say about the host rather than about one container.
type Settings struct {
	Userns   string // pin of the identity ladder: "", auto, straight, subids, single
	Driver   string // pin of the rootfs ladder
	Network  string // --network when none is given
	Registry registry.Options
	Jobs     int          // layers that are fetched at a time; 0 is 3, docker's number
	Notice   func(string) // tells the user one line; nil drops it
}

// Engine is rl over one store.
type Engine struct {
	Settings
	Facts *probe.Facts
	Store *store.Store
	State state.Root

	once     sync.Once
	identity *Identity
	idErr    error
}

// Open finds the store's directory (see probe.Store) and opens it.
func Open(s Settings) (*Engine, error) {
	facts := probe.Quick()
	choice, err := probe.Store(facts)
	if err != nil {
		return nil, err
	}
	st, err := store.Open(choice.Path)
	if err != nil {
		return nil, err
	}
	if s.Notice == nil {
		s.Notice = func(string) {}
	}
	if choice.Rung == "var-tmp" || choice.Rung == "tmp" {
		for _, m := range choice.Missed {
			s.Notice(fmt.Sprintf("images and containers are in %s: %s", choice.Path, m.Reason))
			break
		}
	}
	return &Engine{Settings: s, Facts: facts, Store: st, State: state.Root(st.Root())}, nil
}

// Identity is who the container's users are outside.
type Identity struct {
	probe.Choice
	Map     idmap.Map
	Helpers bool // the map is written by newuidmap and newgidmap
	Single  bool // one id, the rest is played by a seccomp filter
}

// Identity climbs the identity ladder, once.
func (e *Engine) Identity() (*Identity, error) {
	e.once.Do(func() { e.identity, e.idErr = e.chooseIdentity() })
	return e.identity, e.idErr
}

// Choices are the rungs that a run takes before anything is mounted, one
// sentence each.
func (e *Engine) Choices(network string) []string {
	var list []string
	add := func(c probe.Choice, err error) {
		switch {
		case err != nil:
			list = append(list, err.Error())
		case c.Path != "":
			list = append(list, fmt.Sprintf("%s: %s, %s", c.Ladder, c.Path, c.Reason))
		default:
			list = append(list, fmt.Sprintf("%s: %s, %s", c.Ladder, c.Rung, c.Reason))
		}
	}
	if id, err := e.Identity(); err != nil {
		add(probe.Choice{}, err)
	} else {
		add(id.Choice, nil)
	}
	add(probe.Network(e.Facts, network))
	add(probe.Cgroup(e.Facts, ""))
	add(probe.Store(e.Facts))
	return list
}

func (e *Engine) chooseIdentity() (*Identity, error) {
	choice, err := probe.Identity(e.Facts, e.Userns)
	if err != nil {
		return nil, err
	}
	id := &Identity{Choice: choice}
	uid, gid := uint32(e.Facts.UID()), uint32(e.Facts.GID())
	switch choice.Rung {
	case probe.Straight:
		uids, err := e.Facts.UIDs()
		if err != nil {
			return nil, err
		}
		gids, err := e.Facts.GIDs()
		if err != nil {
			return nil, err
		}
		id.Map, err = idmap.Straight(uids, gids)
		return id, err
	case probe.Single:
		id.Single = true
		id.Map, err = idmap.Single(uid, gid, 0, 0)
		return id, err
	}
	id.Helpers = true
	subuids, subgids, err := e.subordinate()
	if err != nil {
		return nil, err
	}
	id.Map, err = idmap.Subordinate(uid, gid, subuids, subgids)
	return id, err
}

func (e *Engine) subordinate() (uids, gids []idmap.Span, err error) {
	uids, _, err = e.Facts.SubUIDs()
	if err != nil {
		return nil, nil, err
	}
	gids, _, err = e.Facts.SubGIDs()
	return uids, gids, err
}

// identityFor is the identity of one container: the engine's, numbered as
// --userns=keep-id asks, or with the one id that there is called as --user asks.
func (e *Engine) identityFor(u option.Userns, user option.User) (*Identity, error) {
	base, err := e.Identity()
	if err != nil {
		return nil, err
	}
	id := *base
	uid, gid := uint32(e.Facts.UID()), uint32(e.Facts.GID())
	asUID, asGID := uid, gid
	if u.UID >= 0 {
		asUID = uint32(u.UID)
	}
	if u.GID >= 0 {
		asGID = uint32(u.GID)
	}
	switch {
	case id.Single && u.Mode == option.KeepID:
		id.Map, err = idmap.Single(uid, gid, asUID, asGID)
	case id.Single && user.UID > 0:
		id.Map, err = idmap.Single(uid, gid, uint32(user.UID), uint32(max(user.GID, 0)))
	case u.Mode == option.KeepID && id.Helpers:
		subuids, subgids, e := e.subordinate()
		if e != nil {
			return nil, e
		}
		id.Map, err = idmap.KeepID(uid, gid, asUID, asGID, subuids, subgids)
	case u.Mode == option.KeepID && (asUID != uid || asGID != gid):
		return nil, fault.New("leave the ids away", "--userns=keep-id cannot renumber: this user namespace's ids are used as they are")
	}
	return &id, err
}

// start starts a stage in a user namespace with these ids.
func (id *Identity) start(c userns.Config) (*userns.Child, error) {
	c.Map, c.Helpers = id.Map, id.Helpers
	return userns.Start(c)
}

// adopt gives these ids to a process that waits for them in its user namespace.
func (id *Identity) adopt(pid, socket int) *userns.Child {
	return userns.Adopt(pid, socket, userns.Config{Map: id.Map, Helpers: id.Helpers})
}

// remove deletes trees that may hold files of subordinate ids, by a process in
// the user namespace that has them.
func (id *Identity) remove(paths ...string) error {
	if len(paths) == 0 {
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	child, err := id.start(userns.Config{Stage: StageRemove, Args: paths, Stdio: [3]*os.File{2: w}})
	w.Close()
	if err != nil {
		return err
	}
	if err := child.Release(); err != nil {
		return err
	}
	text := make([]byte, 4096)
	n, _ := r.Read(text)
	status, err := child.Wait()
	child.Socket.Close()
	if err == nil && status.ExitStatus() != 0 {
		err = fmt.Errorf("cannot remove %s: %s", filepath.Dir(paths[0]), text[:n])
	}
	return err
}

// RemoveTree deletes a tree of the store (see store.Collect).
func (e *Engine) RemoveTree(path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}
	id, err := e.Identity()
	if err != nil {
		return err
	}
	return id.remove(path)
}

// Sweep removes what commands that were killed left behind.
func (e *Engine) Sweep(ctx context.Context) error {
	ids, locks := e.State.Litter()
	errs := []error{e.Store.Sweep(e.RemoveTree), e.sweepSockets(), e.sweepCgroups()}
	for i, c := range ids {
		rec, _ := e.State.Read(c)
		if rec != nil && rec.Fresh { // of `create --rm`: it waits for its start
			locks[i].Close()
			continue
		}
		if rec == nil { // killed before it was written: nothing of the container can have run
			rec = e.State.Unrecorded(c)
		} else {
			e.mourn(rec)
		}
		// The name first: once the directory is gone, nobody would find it.
		errs = append(errs, e.State.Forget(rec), e.discard(rec))
		locks[i].Close()
	}
	return errors.Join(errs...)
}

// discard deletes a container whose lock the caller holds: first its record, without which
// the rest is litter that any command finishes to remove; then its name, for as long as the
// directory is there nobody else takes that.
func (e *Engine) discard(rec *state.Record) error {
	dir := e.State.Dir(rec)
	if rec.Control != "" {
		os.Remove(rec.Control)
	}
	if rec.Remove {
		if err := e.dropVolumes(rec); err != nil {
			return err
		}
	}
	if err := e.State.Unrecord(rec); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		if err := e.recorded(rec, dir); err != nil {
			return err
		}
	}
	return nil
}
