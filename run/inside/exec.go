package inside

import (
	"syscall"

	"rl/run/inside/program"
	"rl/run/inside/seccomp/filter"
	"rl/userns/sys/raw"
)

// filters installs the seccomp filters: on the single-id rung the fake root, then
// the container's profile. The fake root wants a listener for the calls whose
// arguments a filter cannot read; where one exists already, of a container
// around us, it goes without.
func filters(p *program.Program) error {
	if len(p.FakeRoot) > 0 {
		fd, e := filter.InstallWithFallback(p.FakeRoot, p.FakePlain, p.FakeFlags)
		if e != 0 {
			return fail("install the fake root filter", e)
		}
		if fd >= 0 {
			send([]byte{MsgListener}, fd)
			syscall.Close(fd)
		} else {
			notice("attributes (security.*, ACLs) and device nodes are not played: a container around this one has the only seccomp listener")
		}
		if what, e := filter.SelfTest(fd >= 0); what != "" {
			return fail("the fake root filter does not work here: "+what, e)
		}
	}
	if len(p.Filter) > 0 {
		if _, e := filter.Install(p.Filter, p.FilterFlags); e != 0 {
			return fail("install the seccomp profile", e)
		}
	}
	return nil
}

// closeOnExec keeps everything but the standard streams from the next program.
func closeOnExec() {
	if err := raw.CloseRange(FdSocket, raw.CloseRangeCloexec); err != nil {
		// Before 5.11: nothing above the donated ones is open without CLOEXEC,
		// the front saw to that; those lose it here.
		for _, fd := range []int{FdSocket, FdExe} {
			syscall.CloseOnExec(fd)
		}
	}
}

// execute calls execve(2).
func execute(p *program.Program) error {
	path, err := lookPath(p.Argv[0], p.Env)
	if err != nil {
		return err
	}
	if err := insideRoot(); err != nil {
		return err
	}
	closeOnExec()
	if p.Reaper {
		err = raw.ExecFd(FdExe, append([]string{"rl", "__" + StageReaper, path}, p.Argv...), append([]string{stageVariable + StageReaper}, p.Env...))
	} else {
		err = syscall.Exec(path, p.Argv, p.Env)
	}
	return execError(path, err)
}

func execError(path string, err error) error {
	code := byte(126)
	if err == syscall.ENOENT {
		code = 127
	}
	if err == syscall.ENOEXEC {
		return &failure{what: "exec " + path + ": exec format error: not a program for this machine, or a script without #!", code: code}
	}
	return &failure{what: "exec " + path, err: err, code: code}
}

// lookPath finds the program as the container's user in the container's PATH.
func lookPath(name string, env []string) (string, error) {
	if name == "" {
		return "", &failure{what: "exec \"\": executable file not found in $PATH", code: 127}
	}
	for i := range len(name) {
		if name[i] == '/' {
			return name, runnable(name)
		}
	}
	path := ""
	for _, kv := range env {
		if k, v := cut(kv, '='); k == "PATH" {
			path = v
		}
	}
	denied := false
	for path != "" {
		var dir string
		if dir, path = cut(path, ':'); dir == "" {
			dir = "."
		}
		err := runnable(dir + "/" + name)
		if err == nil {
			return dir + "/" + name, nil
		}
		if f, ok := err.(*failure); ok && f.err == syscall.EACCES {
			denied = true
		}
	}
	if denied {
		return "", &failure{what: "exec \"" + name + "\"", err: syscall.EACCES, code: 126}
	}
	return "", &failure{what: "exec \"" + name + "\": executable file not found in $PATH", code: 127}
}

func runnable(path string) error {
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		return execError(path, err)
	}
	if st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		return &failure{what: "exec " + path + ": is a directory", code: 126}
	}
	if err := syscall.Faccessat(-100, path, 1, 0); err != nil {
		return &failure{what: "exec " + path, err: syscall.EACCES, code: 126}
	}
	return nil
}

// insideRoot refuses to start in a directory outside of the root file system,
// which a leaked descriptor would make possible (CVE-2024-21626).
func insideRoot() error {
	buf := make([]byte, 4096)
	n, err := syscall.Getcwd(buf)
	if err == nil && n > 0 && buf[0] == '/' {
		return nil
	}
	return &failure{what: "the working directory is outside of the root file system", err: err, code: 125}
}
