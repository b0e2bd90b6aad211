package run

import (
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rl/run/inside/passwd"
	"rl/run/plan/option"
	"rl/userns/sys/fault"
)

// lookUp finds a user by name in the image's layers, before anything is mounted.
// On the single-id rung every file of a layer is the caller's.
func (p *preparation) lookUp(u option.User) (uid, gid int, err error) {
	if err := p.layersOnSingle(); err != nil {
		return 0, 0, err
	}
	uid, gid, _, ok := passwd.FindUser(p.topmost("etc/passwd"), u.Name)
	if !ok {
		return 0, 0, fault.New("name a user that the image has, or a number", "unable to find user %s: no matching entries in the image's /etc/passwd", u.Name)
	}
	switch {
	case u.Group == "":
	case u.GID >= 0:
		gid = u.GID
	default:
		if gid, ok = passwd.FindGroup(p.topmost("etc/group"), u.Group); !ok {
			return 0, 0, fault.New("name a group that the image has, or a number", "unable to find group %s: no matching entries in the image's /etc/group", u.Group)
		}
	}
	return uid, gid, nil
}

// layersOnSingle finds the layers under the single-id map, whoever is user in it.
func (p *preparation) layersOnSingle() error {
	if p.Image == nil {
		p.lowers = []string{p.Rootfs}
		return nil
	}
	p.id, _ = p.Identity()
	return p.findLayers()
}

// topmost reads a file from the highest layer that has it: no fifo, no link out
// of the layer, no gigabytes.
func (p *preparation) topmost(name string) []byte {
	for _, dir := range p.lowers {
		d, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		fd, err := unix.Openat2(d, name, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
		unix.Close(d)
		if err != nil {
			continue
		}
		f := os.NewFile(uintptr(fd), filepath.Join(dir, name))
		defer f.Close()
		if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
			return nil
		}
		data, _ := io.ReadAll(io.LimitReader(f, 8<<20))
		return data
	}
	return nil
}
