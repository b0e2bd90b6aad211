package seccomp

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	moby "github.com/moby/profiles/seccomp"

	"rl/userns/sys/fault"
)

// Loading docker's own file gives docker's own default.
func TestLoadOfTheDefault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "default.json")
	if err := os.WriteFile(path, defaultJSON(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, caps := range [][]string{nil, dockerCaps(), {"CAP_SYS_ADMIN"}} {
		got, err := Load(path, caps)
		if err != nil {
			t.Fatal(err)
		}
		want, err := Default(caps)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: the loaded default is another", caps)
		}
	}
}

func defaultJSON(t interface{ Fatal(...any) }) []byte {
	raw, err := json.MarshalIndent(moby.DefaultProfile(), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestCapabilitiesChooseRules(t *testing.T) {
	count := func(caps ...string) int {
		spec, err := Default(caps)
		if err != nil {
			t.Fatal(err)
		}
		return len(spec.Syscalls)
	}
	if with, without := count("CAP_SYS_PTRACE"), count(); with <= without {
		t.Errorf("CAP_SYS_PTRACE adds no rule: %d, %d", with, without)
	}
}

func TestLoadErrors(t *testing.T) {
	for raw, want := range map[string]string{
		"":                     "line 1, column 1 (byte 0): not JSON: unexpected end of JSON input",
		"{\n \"syscalls\": [}": "line 2, column 16 (byte 17): not JSON: invalid character '}'",
		"{\n\"syscalls\": 5}":  "line 2, column 14 (byte 15): syscalls: a number where a []*seccomp.Syscall belongs",
		`{}`:                   "no defaultAction",
		`{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"}`:                                                           "listenerPath: rl does not",
		`{"defaultAction": "SCMP_ACT_NOTIFY"}`:                                                                                    "defaultAction: SCMP_ACT_NOTIFY",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]}`:                     "syscalls[0] (read): SCMP_ACT_NOTIFY",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "DENY"}]}`:                                `syscalls[0] (read): action: unknown action "DENY"`,
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["read"], "action": "SCMP_ACT_ALLOW"}]}`:         "both 'name' and 'names'",
		`{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86"}]}`: "both 'architectures' and 'archMap'",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [null]}`:                                                                 "syscalls[0]: null",
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "includes": {"minKernel": "new"}}]}`:                "invalid kernel version",
	} {
		path := filepath.Join(t.TempDir(), "p.json")
		if err := os.WriteFile(path, []byte(raw), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "seccomp profile "+path+": "+want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\n got %v\nwant %s", raw, err, want)
		}
		var f *fault.Error
		if !errors.As(err, &f) || f.Hint == "" {
			t.Errorf("%s: no hint", raw)
		}
	}
}

func TestLoadOfNoFile(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "none.json"), dir, "/dev/zero"} {
		if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A file of any bytes either fails with one line, or loads and compiles to a
// program that the kernel would take and that does what the profile says.
func FuzzLoad(f *testing.F) {
	f.Add(defaultJSON(f))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X32"]}],` +
		`"syscalls":[{"names":["read","socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":1,"value":4294967296,"op":"SCMP_CMP_GE"}]}]}`))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_LOG","syscalls":[null,{"name":"chown","action":"SCMP_ACT_ERRNO","errnoRet":7}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		spec, err := parse(raw, []string{"CAP_CHOWN"})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v", raw, err)
			}
			return
		}
		prog, _, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(prog); err != nil {
			t.Fatal(err)
		}
		for _, d := range []data{{nr: 0, arch: auditX8664}, {nr: 41, arch: auditX8664, args: [6]uint64{1, 1 << 32}}, {nr: 102, arch: auditI386, args: [6]uint64{1}}} {
			if got, _ := execute(prog, d); got != judge(runtime.GOARCH, spec, d) {
				t.Errorf("%+v: %#x, profile says %#x", d, got, judge(runtime.GOARCH, spec, d))
			}
		}
	})
}
