// Package network is what is on disk of user-defined networks.
//
//	networks/                     locked (flock): alone by who makes or removes a network,
//	  │                           shared by who takes an address, for that moment only
//	  ├ <name>/config.json        the network: Network. Made as .new-…, then renamed
//	  └ <name>/leases/<address>   who has it: Holder. Locked for as long as the container lives
//
//	$XDG_RUNTIME_DIR/rl/lan/<id>/ where its members' sockets are (slirp/lan)
//
// A lease is a lock on a file and no entry anywhere: the front takes it and hands
// the descriptor to the container's monitor, with whom it ends, however that dies. What
// a free file says is of the past. The locks are those of open file descriptions
// (F_OFD_SETLK) rather than flock's, because one can ask who holds such a lock
// without taking it, which would have somebody else's attempt fail.
//
// Nothing here moves a packet, and nothing of a network is set up anywhere: it is
// an agreement about addresses.
package network

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"rl/userns/sys/fault"
)

// Store has the networks of one store of rl.
type Store struct {
	Root    string // the store's directory
	Runtime string // the directory of sockets, see probe.Runtime
}

// Network is a user-defined network. What it is does not change.
type Network struct {
	Name     string
	ID       string // 64 hexadecimal digits
	Created  time.Time
	Subnet   netip.Prefix
	Gateway  netip.Addr
	Range    netip.Prefix      `json:",omitzero"` // where addresses are given from; invalid: all of Subnet
	Subnet6  netip.Prefix      `json:",omitzero"` // invalid: no IPv6
	Gateway6 netip.Addr        `json:",omitzero"`
	Internal bool              `json:",omitempty"` // no way out
	MTU      int               `json:",omitempty"` // bytes; 0 is the default
	Labels   map[string]string `json:",omitempty"`
	Options  map[string]string `json:",omitempty"` // of the driver, as they were given
}

// ErrNotFound says that there is no network of a name or id.
var ErrNotFound = errors.New("no such network")

// missing is ErrNotFound of one network.
type missing string

func (m missing) Error() string      { return "network " + string(m) + " not found" }
func (missing) Is(target error) bool { return target == ErrNotFound }

// reserved are words that mean something else to --network.
var reserved = []string{"host", "none", "bridge", "default", "slirp", "pasta", "slirp4netns", "container", "ns", "private"}

// Reserved tells whether a name cannot be a network's.
func Reserved(name string) bool { return slices.Contains(reserved, name) }

func (s *Store) dir(parts ...string) string {
	return filepath.Join(append([]string{s.Root, "networks"}, parts...)...)
}

// SocketDir is where the members of a network meet.
func (s *Store) SocketDir(n *Network) string { return filepath.Join(s.Runtime, "lan", n.ID[:32]) }

// List gives the networks by name. A network whose file is damaged is missing from the
// list, and in the error.
func (s *Store) List() ([]*Network, error) {
	entries, err := os.ReadDir(s.dir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var (
		list []*Network
		errs []error
	)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		n, err := s.read(e.Name())
		switch {
		case err == nil:
			list = append(list, n)
		case !errors.Is(err, ErrNotFound): // removed just now
			errs = append(errs, err)
		}
	}
	slices.SortFunc(list, func(a, b *Network) int { return cmp.Compare(a.Name, b.Name) })
	return list, errors.Join(errs...)
}

// Get finds a network by name, by id or by the beginning of one.
func (s *Store) Get(text string) (*Network, error) {
	if Reserved(text) {
		return nil, fault.New("`rl network ls` lists those that were made", "network %s is built in: there is nothing to show or to change", text)
	}
	absent := fault.New("`rl network ls` lists those that there are", "%w", missing(text))
	if validName(text) {
		absent.Hint = "`rl network create " + text + "` makes one, `rl network ls` lists those that there are"
		if n, err := s.read(text); !errors.Is(err, ErrNotFound) {
			return n, err
		}
	}
	if text == "" || strings.Trim(text, "0123456789abcdef") != "" {
		return nil, absent
	}
	list, err := s.List()
	var found []*Network
	for _, n := range list {
		if strings.HasPrefix(n.ID, text) {
			found = append(found, n)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, fault.New("give more digits, or its name", "network %s is ambiguous: %d networks' ids begin so", text, len(found))
	case err != nil:
		return nil, err
	}
	return nil, absent
}

func (s *Store) read(name string) (*Network, error) {
	path := s.dir(name, "config.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	n := new(Network)
	if err = json.Unmarshal(data, n); err == nil {
		err = n.sound(name)
	}
	if err != nil {
		return nil, fault.New("`rl network rm "+name+"` removes it", "network %s: %s is damaged: %w", name, path, err)
	}
	return n, nil
}

// sound checks what everybody relies on.
func (n *Network) sound(name string) error {
	switch {
	case n.Name != name:
		return fmt.Errorf("it is of network %q", n.Name)
	case len(n.ID) != 64:
		return errors.New("no id")
	case !n.Subnet.Addr().Is4() || !n.Subnet.Contains(n.Gateway):
		return errors.New("no subnet")
	case n.Subnet6.IsValid() && !n.Subnet6.Contains(n.Gateway6):
		return errors.New("no gateway for IPv6")
	}
	return nil
}

// lock takes the lock of all networks; it makes the directory for who wants it alone.
// Shared, with no network there, it gives ErrNotFound.
func (s *Store) lock(alone bool) (unlock func() error, err error) {
	how := unix.LOCK_SH
	if alone {
		how = unix.LOCK_EX
		if err := os.MkdirAll(s.dir(), 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(s.dir())
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", s.dir(), err)
	}
	if alone {
		s.sweep()
	}
	return f.Close, nil
}

// sweep removes what was being made or removed by somebody who was killed.
func (s *Store) sweep() {
	entries, err := os.ReadDir(s.dir())
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			os.RemoveAll(s.dir(e.Name()))
		}
	}
}
