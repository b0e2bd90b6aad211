// Package seccomp makes the filters of a container: which system calls its
// processes may make, and which they may only believe to have made.
//
// It is the deciding half and runs in the front process. Three sources give a
// profile in the runtime-spec's words ([Default] is moby's, [Load] reads a
// user's file, [FakeRootProfile] is the single-id rung's illusion of root) and
// one compiler turns it into classic BPF:
//
//	profile ──resolve──▶ policy ──segments──▶ ranges of numbers ──search──▶ BPF
//	 names               answers   per ABI     with one fate        a DAG, written backwards
//
// The acting halves are elsewhere. filter installs the bytes in the process
// that becomes the workload, and imports nearly nothing. notify answers, in the
// monitor, the calls that a filter cannot judge because it cannot follow a
// pointer.
//
// A filter sees the number, the ABI and six words. It refuses, by killing,
// whatever enters by an ABI it has no table for: silence there would be a hole
// in a sandbox and a broken promise in a fake root.
package seccomp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rl/userns/sys/fault"
)

// Default is moby's profile for a container with these capabilities
// (CAP_SYS_ADMIN, … the bounding set) on this machine and kernel.
func Default(caps []string) (*specs.LinuxSeccomp, error) {
	return moby.GetDefaultProfile(specFor(caps))
}

// maxProfile bounds what Load reads; moby's own profile has 14 kB.
const maxProfile = 4 << 20

// Load reads a profile in docker's JSON format (--security-opt seccomp=FILE),
// choosing the rules for these capabilities, this machine and kernel. It is
// compiled once for its errors, so that a profile that loads also compiles.
func Load(path string, caps []string) (*specs.LinuxSeccomp, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New("give a file in docker's profile format, or seccomp=unconfined", "seccomp profile: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxProfile+1))
	if err == nil && len(raw) > maxProfile {
		err = fmt.Errorf("larger than %d bytes", maxProfile)
	}
	if err != nil {
		return nil, fault.New("", "seccomp profile %s: %w", path, err)
	}
	spec, err := parse(raw, caps)
	if err != nil {
		return nil, fault.New("docker's default profile is an example to start from: https://github.com/moby/profiles", "seccomp profile %s: %w", path, err)
	}
	return spec, nil
}

func parse(raw []byte, caps []string) (*specs.LinuxSeccomp, error) {
	var file moby.Seccomp // read once for its errors: moby's loader panics on a null rule
	err := json.Unmarshal(raw, &file)
	if i := slices.Index(file.Syscalls, nil); err == nil && i >= 0 {
		return nil, fmt.Errorf("syscalls[%d]: null where a rule belongs", i)
	}
	var spec *specs.LinuxSeccomp
	if err == nil {
		spec, err = moby.LoadProfile(string(raw), specFor(caps))
	}
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("%s: not JSON: %s", place(raw, syntax.Offset), syntax.Error())
	case errors.As(err, &kind):
		return nil, fmt.Errorf("%s: %s: a %s where a %s belongs", place(raw, kind.Offset), kind.Field, kind.Value, kind.Type)
	case err != nil:
		return nil, err
	case spec == nil || spec.DefaultAction == "":
		// docker takes {} for "unconfined"; that is said by seccomp=unconfined only.
		return nil, errors.New("no defaultAction")
	case spec.ListenerPath != "":
		return nil, errors.New("listenerPath: rl does not hand a container's system calls to another program")
	}
	for i, call := range spec.Syscalls {
		if call.Action == specs.ActNotify {
			return nil, fmt.Errorf("syscalls[%d] (%s): SCMP_ACT_NOTIFY: rl does not hand a container's system calls to another program", i, first(call.Names))
		}
	}
	if spec.DefaultAction == specs.ActNotify {
		return nil, errors.New("defaultAction: SCMP_ACT_NOTIFY would stop the container at its first system call")
	}
	if _, _, err := Compile(spec); err != nil {
		return nil, err
	}
	return spec, nil
}

// place is where in the file a byte is, as a person looks for it.
func place(raw []byte, offset int64) string {
	line, column := 1, 1
	for _, c := range raw[:min(offset, int64(len(raw)))] {
		column++
		if c == '\n' {
			line, column = line+1, 1
		}
	}
	return fmt.Sprintf("line %d, column %d (byte %d)", line, column, offset)
}

// specFor is the part of a runtime-spec that moby's rules look at.
func specFor(caps []string) *specs.Spec {
	return &specs.Spec{Process: &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}}
}
