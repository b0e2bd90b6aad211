package inside

import (
	"syscall"

	"rl/run/inside/program"
	"rl/userns/sys/raw"
)

// host is the root directory of the host while operations run. They run in a
// chroot, so that every target is resolved by the kernel inside the new root, and
// sources are reached through this descriptor, as "proc/self/fd/N" relative to the
// working directory. pivot_root comes after them: it stacks the old root on the
// new one, and "/.." of a link would lead up there.
// A procfs inside the root would lead back to these descriptors, for a link of the
// image to /proc/self/fd/N: so the plan mounts it after everything whose target the
// image can influence (see run/plan).
var host int

// root makes the mounted root file system this process's root and executes the
// operations in it.
func root(p *program.Program) error {
	var err error
	if host, err = syscall.Open("/", oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0); err != nil {
		return fail("open the host's root directory", err)
	}
	sources, err := openSources(p.Ops)
	if err != nil {
		return err
	}
	if err := syscall.Chroot(p.Root); err != nil {
		return fail("enter the root file system", err)
	}
	if err := syscall.Fchdir(host); err != nil {
		return fail("return to the host's root directory", err)
	}
	for i := range p.Ops {
		err := apply(&p.Ops[i], sources[i])
		if sources[i] >= 0 {
			syscall.Close(sources[i])
		}
		if err != nil {
			return err
		}
	}
	if p.ReadOnly {
		if err := readOnly("/", false); err != nil {
			return fail("make the root file system read-only", err)
		}
	}
	if p.SetOOM {
		if err := writeFile("/proc/self/oom_score_adj", itoa(int(p.OOMScore)), 0); err != nil {
			return fail("set oom_score_adj", err)
		}
	}
	return leave(p)
}

// leave drops the host's file system, and with it the last descriptor that leads
// there: from now on a link of the image to /proc/self/fd finds nothing of the host's.
func leave(p *program.Program) error {
	for _, step := range []struct {
		name string
		err  func() error
	}{
		{"return to the host's root directory", func() error { return syscall.Fchdir(host) }},
		{"leave the chroot", func() error { return syscall.Chroot(".") }},
		{"hooks", func() error { return hooks("createContainer", "creating", p.CreateContainer, p.HookState) }},
		{"enter the root file system", func() error { return syscall.Chdir(p.Root) }},
		{"pivot_root", func() error { return syscall.PivotRoot(".", ".") }},
		{"return to the host's root directory", func() error { return syscall.Fchdir(host) }},
		{"detach the host's file system", func() error { return syscall.Unmount(".", syscall.MNT_DETACH) }},
		{"close the host's root directory", func() error { return syscall.Close(host) }},
		{"enter the root directory", func() error { return syscall.Chdir("/") }},
	} {
		if err := step.err(); err != nil {
			return fail(step.name, err)
		}
	}
	return nil
}

// openSources opens what Bind operations bind, while the host's root is still
// ours: an absolute symbolic link in a source means the host's. At the next run by a restart
// policy a link may be the container's work: of a directory of its own that lies in another.
func openSources(ops []program.Op) ([]int, error) {
	fds := make([]int, len(ops))
	for i := range ops {
		if fds[i] = -1; ops[i].Kind != program.Bind {
			continue
		}
		open := func(path string, flags int) (int, error) { return syscall.Open(path, flags, 0) }
		if ops[i].Opts&program.OptNoLinks != 0 {
			open = raw.OpenNoLinks
		}
		fd, err := open(ops[i].Source, oPath|syscall.O_CLOEXEC)
		if err == nil && ops[i].Opts&program.OptWithin != 0 {
			fd, err = within(fd, &ops[i])
		}
		if err != nil {
			return nil, fail("bind source "+ops[i].Source+orNothing("/", ops[i].Data), err)
		}
		fds[i] = fd
	}
	return fds, nil
}

// within opens the part of a volume that is to be bound. Programs of containers wrote what is
// in there, links too.
func within(volume int, op *program.Op) (int, error) {
	defer syscall.Close(volume)
	fd, err := raw.OpenIn(volume, op.Data, oPath|syscall.O_CLOEXEC)
	if err != nil {
		return fd, err
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return fd, err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		op.Opts |= program.OptIsFile
	}
	return fd, nil
}

func orNothing(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

func apply(op *program.Op, source int) error {
	err := operate(op, source)
	if err != nil && op.Opts&program.OptOptional != 0 {
		return nil
	}
	return fail(describe(op), err)
}

func operate(op *program.Op, source int) error {
	switch op.Kind {
	case program.Mount:
		return mount(op)
	case program.Bind:
		return bind(op, "proc/self/fd/"+itoa(source))
	case program.Device:
		return bind(op, op.Source[1:])
	case program.Proc:
		return proc(op)
	case program.Sysfs:
		return sysfs(op)
	case program.Mkdir:
		return mkdirAll(op.Target, op.Mode)
	case program.Symlink:
		if err := syscall.Symlink(op.Source, op.Target); err != syscall.EEXIST {
			return err
		}
		return nil
	case program.Mask:
		return mask(op)
	case program.ReadOnly:
		return guard(op)
	case program.Write:
		return writeNew(op.Target, op.Data, op.Mode)
	case program.File:
		return memoryFile(op)
	case program.Sysctl:
		return writeFile(op.Target, op.Data, 0)
	}
	return syscall.EINVAL
}

// mount mounts a new file system. On the directories that the kernel's own files
// are expected in, the target may not be a symbolic link: an image could send
// /proc elsewhere and put its own files there.
func mount(op *program.Op) error {
	if err := directory(op); err != nil {
		return err
	}
	if err := syscall.Mount(op.Type, op.Target, op.Type, uintptr(op.Flags), op.Data); err != nil {
		return err
	}
	return propagate(op)
}

func directory(op *program.Op) error {
	if err := mkdirAll(op.Target, op.Mode|0o755); err != nil {
		return err
	}
	if op.Type == "tmpfs" && op.Target != "/dev" {
		return nil // a tmpfs of the user's may lie behind a link of the image
	}
	var st syscall.Stat_t
	if err := syscall.Lstat(op.Target, &st); err != nil {
		return err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return &failure{what: "the image has something else than a directory at " + op.Target, code: 125}
	}
	return nil
}

func bind(op *program.Op, source string) error {
	var err error
	if op.Opts&program.OptIsFile != 0 {
		err = touch(op.Target)
	} else {
		err = mkdirAll(op.Target, 0o755)
	}
	if err != nil {
		return err
	}
	if err := syscall.Mount(source, op.Target, "", uintptr(op.Flags&^syscall.MS_RDONLY)|syscall.MS_BIND, ""); err != nil {
		return err
	}
	if op.Flags&syscall.MS_RDONLY != 0 {
		if err := readOnly(op.Target, op.Opts&program.OptRecursiveRO != 0); err != nil {
			return err
		}
	}
	return propagate(op)
}

func propagate(op *program.Op) error {
	if op.Prop == 0 {
		return nil
	}
	return syscall.Mount("", op.Target, "", uintptr(op.Prop), "")
}

// proc mounts procfs. In a container whose own /proc is masked the kernel
// refuses a fresh one (mount_too_revealing): then the outer one is bound, with
// the outer process numbers, and that is said.
func proc(op *program.Op) error {
	err := mount(op)
	if err != syscall.EPERM {
		return err
	}
	if err := syscall.Mount("proc", op.Target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if op.Opts&program.OptOptional == 0 { // asked for a pid namespace of its own
		notice("/proc is the host's: the kernel refuses a fresh procfs here, so process numbers are the outer ones")
	}
	return nil
}

// sysfs mounts sysfs, which shows the network namespace's interfaces. Where that
// namespace is the host's the kernel refuses, and the host's /sys is bound.
func sysfs(op *program.Op) error {
	err := mount(op)
	if err != syscall.EPERM {
		return err
	}
	if err := syscall.Mount("sys", op.Target, "", syscall.MS_BIND|syscall.MS_REC, ""); err != nil {
		return err
	}
	if op.Flags&syscall.MS_RDONLY != 0 {
		return readOnly(op.Target, true)
	}
	return nil
}

// memoryFile puts a file of rl's own on Target: written in the memory file system
// at /dev, bound, and unlinked there. Nothing of it reaches a disk or the image.
func memoryFile(op *program.Op) error {
	const scratch = "/dev/.rl"
	if err := touch(op.Target); err != nil {
		return err
	}
	if err := writeFile(scratch, op.Data, syscall.O_CREAT|syscall.O_EXCL); err != nil {
		return err
	}
	if err := syscall.Mount(scratch, op.Target, "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return syscall.Unlink(scratch)
}

// mask hides a file behind /dev/null and a directory behind an empty tmpfs.
func mask(op *program.Op) error {
	err := syscall.Mount("dev/null", op.Target, "", syscall.MS_BIND, "") // the host's: /dev may be the image's
	if err == syscall.ENOTDIR || err == syscall.EISDIR {
		err = syscall.Mount("tmpfs", op.Target, "tmpfs", syscall.MS_RDONLY, "size=0k,nr_inodes=1")
	}
	if err == syscall.ENOENT {
		return nil
	}
	return err
}

// guard makes a path read-only where it exists.
func guard(op *program.Op) error {
	err := syscall.Mount(op.Target, op.Target, "", syscall.MS_BIND|syscall.MS_REC, "")
	if err == syscall.ENOENT {
		return nil
	}
	if err != nil {
		return err
	}
	return readOnly(op.Target, true)
}

// readOnly makes the mount at path read-only, and those below it where asked and
// possible. Before Linux 5.12 only the top one can be, by a remount that must
// repeat the flags which a user namespace may not clear.
func readOnly(path string, recursive bool) error {
	if recursive {
		if err := raw.MountSetattr(path, raw.AttrRdonly); err == nil || err != syscall.ENOSYS {
			return err
		}
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return err
	}
	const kept = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC | syscall.MS_NOATIME | syscall.MS_NODIRATIME | syscall.MS_RELATIME
	flags := uintptr(st.Flags) & kept // ST_* have the values of MS_* for all but ST_RELATIME
	if st.Flags&0x1000 != 0 {
		flags |= syscall.MS_RELATIME
	}
	return syscall.Mount("", path, "", flags|syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
}

func describe(op *program.Op) string {
	switch op.Kind {
	case program.Bind, program.Device:
		return "bind " + op.Source + " on " + op.Target
	case program.Mkdir:
		return "make directory " + op.Target
	case program.Symlink:
		return "make symbolic link " + op.Target
	case program.Mask:
		return "mask " + op.Target
	case program.ReadOnly:
		return "make " + op.Target + " read-only"
	case program.Write, program.Sysctl, program.File:
		return "write " + op.Target
	}
	return "mount " + op.Type + " on " + op.Target
}
