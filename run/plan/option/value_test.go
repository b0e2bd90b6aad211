package option_test

import (
	"testing"
	"time"

	"rl/run/plan/option"
)

func TestParseSize(t *testing.T) {
	table(t, func(s string) (int64, error) { return option.ParseSize("size", s) }, []row[int64]{
		{in: "0", want: 0},
		{in: "65536", want: 65536},
		{in: "64b", want: 64},
		{in: "64m", want: 64 << 20},
		{in: "64M", want: 64 << 20},
		{in: "64mb", want: 64 << 20},
		{in: "64MiB", want: 64 << 20},
		{in: "1.5g", want: 3 << 29},
		{in: ".5k", want: 512},
		{in: "1.", want: 1},
		{in: "32 kb", want: 32 << 10},
		{in: "2t", want: 2 << 40},
		{in: "8191p", want: 8191 << 50},
		{in: "0.1", want: 0},

		{in: "", err: "not a size", hint: "64m"},
		{in: "m", err: "not a size"},
		{in: ".", err: "not a size"},
		{in: "1.2.3", err: "not a size"},
		{in: "-1m", err: "cannot be negative"},
		{in: "1q", err: `no such unit: "q"`},
		{in: "1bb", err: "no such unit"},
		{in: "1mbi", err: "no such unit"},
		{in: "1  m", err: "no such unit"},
		{in: "1m ", err: "no such unit"},
		{in: "0x10", err: "no such unit"},
		{in: "inf", err: "not a size"},
		{in: "8192p", err: "too large"},
		{in: "99999999999999999999999999", err: "too large"},
	})
}

func TestParseTimes(t *testing.T) {
	table(t, func(s string) (time.Duration, error) { return option.ParseDuration("interval", s) }, []row[time.Duration]{
		{in: "90s", want: 90 * time.Second},
		{in: "1h30m", want: 90 * time.Minute},
		{in: "0", want: 0},
		{in: "30", err: "not a duration", hint: "90s"},
		{in: "-1s", err: "negative"},
		{in: "", err: "not a duration"},
	})
	table(t, option.ParseStopTimeout, []row[int]{
		{in: "10", want: 10},
		{in: "0", want: 0},
		{in: "-1", want: option.StopForever},
		{in: "-2", err: "not a number of seconds"},
		{in: "10s", err: "not a number of seconds"},
		{in: "99999999999", err: "not a number of seconds"},
	})
}

func TestParseUlimit(t *testing.T) {
	table(t, option.ParseUlimit, []row[option.Ulimit]{
		{in: "nofile=1024:4096", want: option.Ulimit{Name: "nofile", Resource: 7, Soft: 1024, Hard: 4096}},
		{in: "nofile=1024", want: option.Ulimit{Name: "nofile", Resource: 7, Soft: 1024, Hard: 1024}},
		{in: "core=0", want: option.Ulimit{Name: "core", Resource: 4}},
		{in: "core=-1", want: option.Ulimit{Name: "core", Resource: 4, Soft: option.Unlimited, Hard: option.Unlimited}},
		{in: "stack=8192:-1", want: option.Ulimit{Name: "stack", Resource: 3, Soft: 8192, Hard: option.Unlimited}},
		{in: "memlock=unlimited", want: option.Ulimit{Name: "memlock", Resource: 8, Soft: option.Unlimited, Hard: option.Unlimited}},
		{in: "rttime=5", want: option.Ulimit{Name: "rttime", Resource: 15, Soft: 5, Hard: 5}},
		{in: "cpu=1", want: option.Ulimit{Name: "cpu", Resource: 0, Soft: 1, Hard: 1}},

		{in: "", err: "no name and limit", hint: "nofile=1024:4096"},
		{in: "nofile", err: "no name and limit"},
		{in: "=5", err: "no name and limit"},
		{in: "nofile=", err: "not a limit"},
		{in: "nofile=1:2:3", err: `not a limit: "2:3"`},
		{in: "nofile=:2", err: "not a limit"},
		{in: "nofile=2:", err: "not a limit"},
		{in: "nofile=-2", err: "not a limit"},
		{in: "nofile=4096:1024", err: "the soft limit 4096 is above the hard limit 1024"},
		{in: "nofile=-1:1024", err: "the soft limit -1 is above the hard limit 1024"},
		{in: "nofiles=1", err: "no such limit", hint: `"nofile"`},
		{in: "as=1", err: "no such limit"},
		{in: "NOFILE=1", err: "no such limit", hint: `"nofile"`},
	})
	if u, _ := option.ParseUlimit("nproc=1"); u.Type() != "RLIMIT_NPROC" {
		t.Errorf("type %s", u.Type())
	}
}

func TestParseDevice(t *testing.T) {
	table(t, option.ParseDevice, []row[option.Device]{
		{in: "/dev/fuse", want: option.Device{Host: "/dev/fuse", Container: "/dev/fuse", Permissions: "rwm"}},
		{in: "/dev/fuse:r", want: option.Device{Host: "/dev/fuse", Container: "/dev/fuse", Permissions: "r"}},
		{in: "/dev/a:/dev/b", want: option.Device{Host: "/dev/a", Container: "/dev/b", Permissions: "rwm"}},
		{in: "/dev//a/:/dev/b/../c:wr", want: option.Device{Host: "/dev/a", Container: "/dev/c", Permissions: "wr"}},

		{in: "", err: "not an absolute path", hint: "/dev/NAME"},
		{in: "fuse", err: `"fuse" is not an absolute path`},
		{in: "/dev/a:b", err: "permissions are"},
		{in: "/dev/a:/dev/b:rr", err: "permissions are"},
		{in: "/dev/a:/dev/b:", err: "permissions are"},
		{in: "/dev/a:dev/b:rw", err: `"dev/b" is not an absolute path`},
		{in: "/dev/a:/dev/b:rw:x", err: "too many colons"},
		{in: "/dev/a:/..", err: "the root directory is not a device"},
		{in: "nvidia.com/gpu=all", err: "CDI"},
		{in: "/dev/a\x00", err: "not an absolute path"},
	})
}

func TestParseUser(t *testing.T) {
	table(t, option.ParseUser, []row[option.User]{
		{in: "0", want: option.User{Name: "0", GID: -1}},
		{in: "1000:1001", want: option.User{Name: "1000", UID: 1000, Group: "1001", GID: 1001}},
		{in: "www-data", want: option.User{Name: "www-data", UID: -1, GID: -1}},
		{in: "ann:users", want: option.User{Name: "ann", UID: -1, Group: "users", GID: -1}},
		{in: "ann:", want: option.User{Name: "ann", UID: -1, GID: -1}},
		{in: ":50", want: option.User{UID: 0, Group: "50", GID: 50}},
		{in: "2147483647", want: option.User{Name: "2147483647", UID: 2147483647, GID: -1}},
		{in: "0x10", want: option.User{Name: "0x10", UID: -1, GID: -1}},

		{in: "", err: "nothing there"},
		{in: ":", err: "nothing there"},
		{in: "1:2:3", err: "too many colons"},
		{in: "2147483648", err: "ids go from 0 to 2147483647"},
		{in: "99999999999999999999", err: "ids go from 0"},
		{in: "-1", err: "ids go from 0"},
		{in: "ann:-5", err: "ids go from 0"},
		{in: "an n", err: "not a name"},
		{in: "ann\n", err: "not a name"},
		{in: "a/b", err: "not a name"},
	})
	name, gid, err := option.ParseGroup("audio")
	if name != "audio" || gid != -1 || err != nil {
		t.Errorf("group %q %d %v", name, gid, err)
	}
	if _, gid, err := option.ParseGroup("44"); gid != 44 || err != nil {
		t.Errorf("group %d %v", gid, err)
	}
	_, _, err = option.ParseGroup("")
	checkError(t, "", err, "nothing there", "gid")
}

func TestParseSignal(t *testing.T) {
	table(t, option.ParseSignal, []row[int]{
		{in: "SIGTERM", want: 15},
		{in: "TERM", want: 15},
		{in: "sigterm", want: 15},
		{in: "15", want: 15},
		{in: "HUP", want: 1},
		{in: "SYS", want: 31},
		{in: "SIGCLD", want: 17},
		{in: "SIGPOLL", want: 29},
		{in: "RTMIN", want: 34},
		{in: "SIGRTMIN+3", want: 37},
		{in: "RTMAX", want: 64},
		{in: "RTMAX-14", want: 50},
		{in: "64", want: 64},

		{in: "", err: "there is none", hint: "SIGTERM or 15"},
		{in: "SIG", err: "there is none"},
		{in: "0", err: "signals go from 1 to 64"},
		{in: "65", err: "signals go from"},
		{in: "-9", err: "signals go from"},
		{in: "SIGTREM", err: "there is none", hint: "did you mean SIGTERM?"},
		{in: "RTMIN+31", err: "there is none"},
		{in: "RTMIN-1", err: "there is none"},
		{in: "RTMAX+1", err: "there is none"},
		{in: "RTMIN+", err: "there is none"},
		{in: "RTMINX", err: "there is none"},
	})
	for n := 1; n <= 64; n++ {
		if back, err := option.ParseSignal(option.SignalName(n)); back != n || err != nil {
			t.Errorf("signal %d is %s is %d, %v", n, option.SignalName(n), back, err)
		}
	}
	if option.SignalName(0) != "0" || option.SignalName(37) != "SIGRTMIN+3" || option.SignalName(9) != "SIGKILL" {
		t.Error("names")
	}
}

func TestParseDetachKeys(t *testing.T) {
	table(t, option.ParseDetachKeys, []row[[]byte]{
		{in: "", want: []byte{16, 17}},
		{in: "ctrl-p,ctrl-q", want: []byte{16, 17}},
		{in: "ctrl-a", want: []byte{1}},
		{in: "CTRL-Z,a", want: []byte{26, 'a'}},
		{in: "a,b,b", want: []byte("abb")},
		{in: `ctrl-@,ctrl-[,ctrl-\,ctrl-],ctrl-^,ctrl-_`, want: []byte{0, 27, 28, 29, 30, 31}},
		{in: "DEL", want: []byte{127}},

		{in: ",", err: `"" is not a key`, hint: "ctrl-p,ctrl-q"},
		{in: "a,", err: `"" is not a key`},
		{in: "ab", err: `"ab" is not a key`},
		{in: "ctrl-1", err: "is not a key"},
		{in: "ctrl-", err: "is not a key"},
		{in: "ctrl-ab", err: "is not a key"},
		{in: "é", err: "is not a key"},
	})
}

func TestParsePlatform(t *testing.T) {
	table(t, option.ParsePlatform, []row[option.Platform]{
		{in: "linux/amd64", want: option.Platform{OS: "linux", Architecture: "amd64"}},
		{in: "linux/x86_64", want: option.Platform{OS: "linux", Architecture: "amd64"}},
		{in: "linux/amd64/v1", want: option.Platform{OS: "linux", Architecture: "amd64"}},
		{in: "linux/amd64/v3", want: option.Platform{OS: "linux", Architecture: "amd64", Variant: "v3"}},
		{in: "Linux/AArch64", want: option.Platform{OS: "linux", Architecture: "arm64"}},
		{in: "linux/arm64/v8", want: option.Platform{OS: "linux", Architecture: "arm64"}},
		{in: "linux/arm64/8", want: option.Platform{OS: "linux", Architecture: "arm64"}},
		{in: "linux/arm", want: option.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}},
		{in: "linux/arm/v6", want: option.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}},
		{in: "linux/arm/6", want: option.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}},
		{in: "linux/armhf", want: option.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}},
		{in: "armel", want: option.Platform{OS: "linux", Architecture: "arm", Variant: "v6"}},
		{in: "i386", want: option.Platform{OS: "linux", Architecture: "386"}},
		{in: "arm64", want: option.Platform{OS: "linux", Architecture: "arm64"}},
		{in: "windows/amd64", want: option.Platform{OS: "windows", Architecture: "amd64"}},
		{in: "linux", want: option.HostPlatform()},

		{in: "", err: "no such architecture", hint: "linux/arm64"},
		{in: "linux/", err: "no such architecture"},
		{in: "/amd64", err: "no such operating system"},
		{in: "linux/amd46", err: "no such architecture", hint: "did you mean amd64?"},
		{in: "linx/amd64", err: "no such operating system", hint: "did you mean linux?"},
		{in: "linux/arm/", err: "nothing after the last slash"},
		{in: "linux/arm/v7/x", err: "too many slashes"},
		{in: "linux/arm/v 7", err: "no such variant"},
	})
	if s := (option.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}).String(); s != "linux/arm/v7" {
		t.Error(s)
	}
}

func TestParseNames(t *testing.T) {
	table(t, option.ParseName, []row[string]{
		{in: "web_1.a-b", want: "web_1.a-b"},
		{in: "/web", want: "web"},
		{in: "a", err: "not a name", hint: "two or more"},
		{in: "", err: "not a name"},
		{in: "-web", err: "not a name"},
		{in: "we b", err: "not a name"},
		{in: "../x", err: "not a name"},
		{in: "//web", err: "not a name"},
		{in: "wéb", err: "not a name"},
	})
	table(t, option.ParsePull, []row[option.Pull]{
		{in: "", want: option.PullMissing},
		{in: "missing", want: option.PullMissing},
		{in: "always", want: option.PullAlways},
		{in: "never", want: option.PullNever},
		{in: "allways", err: "none of that name", hint: `"always"`},
	})
}
