package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"rl/run/carry"
	"rl/run/monitor"
	"rl/run/rootfs"
	"rl/run/state"
	"rl/userns"
	"rl/userns/idmap"
	"rl/userns/sys"
	"rl/userns/sys/fault"
)

// carriage is the front's end of a carrier (see run/carry).
type carriage struct {
	engine *Engine
	of     *state.Record
	talk   *sys.Socket
	child  *userns.Child // of a container that does not run
}

// carrier starts one for a container, running or not, with the ends of its streams;
// nil is none.
func (e *Engine) carrier(rec *state.Record, req *carry.Request, in, out *os.File) (*carriage, error) {
	ours, theirs, err := sys.Socketpair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c := &carriage{engine: e, of: rec, talk: ours}
	req.Single = rec.Map.UIDs.Size() == 1
	if err = c.start(rec, req, theirs, in, out); err == nil {
		err = c.ask(req)
	}
	if err != nil {
		c.close()
		return nil, c.blame(err)
	}
	return c, nil
}

// blame gives the reason of an error of a container that somebody removed meanwhile.
func (c *carriage) blame(err error) error {
	if _, gone := c.engine.State.Find(c.of.ID); errors.Is(gone, state.ErrNotFound) {
		return fmt.Errorf("container %s was removed meanwhile", c.of.Name)
	}
	return err
}

func (c *carriage) start(rec *state.Record, req *carry.Request, theirs *sys.Socket, in, out *os.File) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	if in == nil {
		in = null
	}
	if out == nil {
		out = null
	}
	if req.Op == carry.Diff {
		return c.apart(rec, req, theirs, null, in, out)
	}
	for range 1000 { // it may start or end just now, again and again
		if c.engine.State.Running(rec.ID) {
			_, err := monitor.Ask(rec.Control, []byte{monitor.AskCarry}, int(in.Fd()), int(out.Fd()), theirs.Fd())
			if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT) {
				err = notRunning(rec) // not yet, or not any more
			}
			return err
		}
		hold, err := c.engine.State.Visit(rec)
		if errors.Is(err, unix.EWOULDBLOCK) {
			continue
		}
		if errors.Is(err, os.ErrNotExist) {
			_, err = c.engine.State.Find(rec.ID)
		}
		if err != nil {
			return err
		}
		defer hold.Close()
		return c.apart(rec, req, theirs, hold, in, out)
	}
	return fault.New("", "container %s is started again and again", rec.Name)
}

// apart starts a carrier in a user namespace of its own, with the ids that the
// container's files were written under.
func (c *carriage) apart(rec *state.Record, req *carry.Request, theirs *sys.Socket, hold, in, out *os.File) (err error) {
	if req.Root, err = c.engine.rootOf(rec, req.Op); err != nil {
		return err
	}
	talk, err := unix.FcntlInt(uintptr(theirs.Fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(talk), "talk")
	defer file.Close()
	files := []*os.File{file, hold}
	if req.Op != carry.Diff && req.Root.Plain == "" {
		// What one of them mounts, another must not, too: the same upper directory.
		work, err := os.Open(req.Root.Tree.Work)
		if err != nil {
			return err
		}
		defer work.Close()
		if err := sys.Lock(work, false); err != nil {
			return err
		}
		files = append(files, work)
	}
	id := &Identity{Map: rec.Map, Helpers: rec.Helpers}
	c.child, err = id.start(userns.Config{Stage: carry.Stage, Args: []string{carry.Mount}, Namespaces: unix.CLONE_NEWNS,
		Stdio: [3]*os.File{in, out, nil}, Files: files})
	if err != nil {
		return err
	}
	if err := c.child.Release(); err != nil {
		c.child = nil
		return err
	}
	return nil
}

func (c *carriage) ask(req *carry.Request) error {
	data, err := json.Marshal(req)
	if err != nil {
		return err
	}
	f, err := sys.Memfd("rl-carry", data)
	if err != nil {
		return err
	}
	defer f.Close()
	return c.talk.Send([]byte{carry.MsgRequest}, int(f.Fd()))
}

// hear waits for a message of a kind, and gives what it says.
func (c *carriage) hear(kind byte) ([]byte, error) {
	for {
		msg, files, err := c.talk.Recv()
		for _, f := range files {
			f.Close()
		}
		switch {
		case err == io.EOF:
			return nil, c.blame(errors.New("the process that reads and writes the container's files was killed"))
		case err != nil:
			return nil, err
		case msg[0] == carry.MsgNote:
			c.engine.Notice(string(msg[1:]))
		case msg[0] == carry.MsgError:
			return nil, c.blame(fault.Received(msg[1:]))
		case msg[0] == kind:
			return msg[1:], nil
		default:
			return nil, fmt.Errorf("unexpected message %q", msg[0])
		}
	}
}

// close lets the carrier end, and waits for one that is ours.
func (c *carriage) close() {
	c.talk.Close()
	if c.child != nil {
		c.child.Wait()
		c.child.Socket.Close()
	}
}

// rootOf is what a container's root is made of, as it was started last.
func (e *Engine) rootOf(rec *state.Record, op carry.Op) (*carry.Root, error) {
	dir := e.State.Dir(rec)
	r := &carry.Root{Driver: rec.Driver, Tree: rootfs.Tree{Lowers: rec.Layers, Target: e.State.Target(),
		Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"), Volatile: rec.Remove}}
	d, err := e.Describe(rec.ID)
	if err != nil {
		return nil, err
	}
	if len(rec.Request) > 0 {
		var s saved
		if err := json.Unmarshal(rec.Request, &s); err != nil {
			return nil, fmt.Errorf("container %s: what it was asked to be: %w", rec.Name, err)
		}
		r.Plain, r.ReadOnly = s.Rootfs, s.Flags.ReadOnly
	}
	if r.Tree.Maps, err = mapsOf(rec); err != nil {
		return nil, err
	}
	switch {
	case e.Driver != "" && e.Driver != "auto":
		r.Driver = e.Driver
	case d.Driver != "":
		r.Driver = d.Driver
	}
	if op == carry.Diff {
		r.Targets = points(d)
	}
	if d.Spec == nil || op != carry.In && op != carry.Out {
		return r, nil
	}
	for _, m := range d.Spec.Mounts {
		if m.Type == "bind" && !strings.HasPrefix(m.Destination, "/dev/") && !strings.HasPrefix(m.Source, dir+"/files/") {
			b := carry.Bind{Source: m.Source, Target: m.Destination}
			if v := rec.VolumeAt(m.Destination); v != nil {
				b.Source, b.Subpath = e.Volumes().Data(v.Name), v.Subpath
				b.Volume, b.Fill = e.Volumes().Dir(v.Name), v.Subpath == "" && r.Plain == "" && !slices.Contains(v.Options, "nocopy")
			}
			for _, o := range m.Options {
				b.ReadOnly = b.ReadOnly || o == "ro"
			}
			r.Binds = append(r.Binds, b)
		}
	}
	return r, nil
}

// points are the places at which every container has something mounted, and this one.
func points(d *Description) []string {
	list := []string{"/proc", "/dev", "/sys", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
	if d.Record.Map.UIDs.Size() == 1 {
		list = append(list, "/etc/apt/apt.conf.d/99rl-single-id") // see docs/architecture.md
	}
	if d.Spec != nil {
		for _, m := range d.Spec.Mounts {
			list = append(list, m.Destination)
		}
	}
	return list
}

// mapsOf tells the maps of layers that were written under other ids than the
// container's, by the names of their directories: layers/MAP/DIFFID/fs.
func mapsOf(rec *state.Record) ([]idmap.Map, error) {
	var maps []idmap.Map
	for i, l := range rec.Layers {
		name := filepath.Base(filepath.Dir(filepath.Dir(l)))
		if name == rec.Map.Name() {
			continue
		}
		made, ok := idmap.ParseName(name)
		if ok {
			made, ok = made.Within(rec.Map)
		}
		if !ok {
			return nil, fmt.Errorf("container %s: the ids of its layer %s have no place in its own", rec.Name, l)
		}
		if maps == nil {
			maps = make([]idmap.Map, len(rec.Layers))
		}
		maps[i] = made
	}
	return maps, nil
}
