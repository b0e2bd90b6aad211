package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// occupy opens a lease's file and locks it; no file when somebody has it.
func occupy(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart})
		if err != unix.EINTR {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	if err == unix.EAGAIN || err == unix.EACCES {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// occupied tells whether somebody has a lease, without touching it.
func occupied(f *os.File) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock)
	return lock.Type != unix.F_UNLCK, err
}

// Members are the containers that are in a network now, by address.
func (s *Store) Members(n *Network) ([]Holder, error) {
	entries, err := os.ReadDir(s.dir(n.Name, "leases"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Holder
	for _, e := range entries {
		a, err := netip.ParseAddr(e.Name())
		if err != nil || !a.Is4() { // that of IPv6 is in the same holder
			continue
		}
		h, err := s.holder(n, a)
		if err != nil {
			return list, err
		}
		if h != nil {
			list = append(list, *h)
		}
	}
	slices.SortFunc(list, func(a, b Holder) int { return a.IP.Compare(b.IP) })
	return list, nil
}

func (s *Store) holder(n *Network, a netip.Addr) (*Holder, error) {
	f, err := os.Open(s.dir(n.Name, "leases", a.String()))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if held, err := occupied(f); !held || err != nil {
		return nil, err
	}
	h := &Holder{IP: a}
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	if err == nil && json.Unmarshal(data, h) != nil {
		h = &Holder{IP: a} // it is just being taken
	}
	h.IP = a
	return h, err
}
