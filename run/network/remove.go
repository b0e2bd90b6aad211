package network

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"rl/userns/sys/fault"
)

// Remove removes a network that no container is in. It gives the name.
func (s *Store) Remove(text string) (string, error) {
	unlock, err := s.lock(true)
	if err != nil {
		return "", err
	}
	defer unlock()
	n, err := s.Get(text)
	if err != nil {
		if _, e := os.Lstat(s.dir(text)); errors.Is(err, ErrNotFound) || !validName(text) || Reserved(text) || e != nil {
			return "", err
		}
		n = &Network{Name: text} // a damaged one can be removed by name
	}
	members, err := s.Members(n)
	if err != nil {
		return "", err
	}
	if len(members) > 0 {
		var who []string
		for _, m := range members {
			who = append(who, fmt.Sprintf("name:%q id:%q", m.Name, m.ID[:min(12, len(m.ID))]))
		}
		return "", fault.New("end those containers first, or `rl network disconnect` them",
			"error while removing network: network %s has active endpoints (%s)", n.Name, strings.Join(who, ", "))
	}
	return n.Name, s.drop(n)
}

// drop removes a network's files; the caller holds the lock.
func (s *Store) drop(n *Network) error {
	old := s.dir(".old-" + n.Name)
	if err := os.Rename(s.dir(n.Name), old); err != nil {
		return err
	}
	if err := os.RemoveAll(old); err != nil {
		return err
	}
	if s.Runtime == "" || n.ID == "" {
		return nil
	}
	return os.RemoveAll(s.SocketDir(n))
}

// Prune removes every network that no container is in and that want wants removed.
func (s *Store) Prune(want func(*Network) bool) (names []string, err error) {
	unlock, err := s.lock(true)
	if err != nil {
		return nil, err
	}
	defer unlock()
	list, err := s.List()
	errs := []error{err}
	for _, n := range list {
		if want != nil && !want(n) {
			continue
		}
		members, err := s.Members(n)
		if err == nil && len(members) > 0 {
			continue
		}
		if err == nil {
			err = s.drop(n)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		names = append(names, n.Name)
	}
	return names, errors.Join(errs...)
}
