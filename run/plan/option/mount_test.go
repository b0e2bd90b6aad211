package option_test

import (
	"strings"
	"testing"

	"rl/run/plan/option"
)

var tmpfsDefaults = []string{"nosuid", "nodev", "noexec"}

func TestParseVolume(t *testing.T) {
	bind := func(source, target string) option.Mount {
		return option.Mount{Type: option.Bind, Source: source, Target: target, Recursive: true}
	}
	with := func(m option.Mount, change func(*option.Mount)) option.Mount { change(&m); return m }
	table(t, option.ParseVolume, []row[option.Mount]{
		{in: "/a:/b", want: bind("/a", "/b")},
		{in: "/a/../c//d/:/b/./e/", want: bind("/c/d", "/b/e")},
		{in: "/:/host", want: bind("/", "/host")},
		{in: "./x:/b", want: bind("./x", "/b")},
		{in: ".:/b", want: bind(".", "/b")},
		{in: "..:/b", want: bind("..", "/b")},
		{in: ".config:/b", want: bind(".config", "/b")},
		{in: "/a b:/c d", want: bind("/a b", "/c d")},
		{in: "/a:/b:ro", want: with(bind("/a", "/b"), func(m *option.Mount) { m.ReadOnly = true })},
		{in: "/a:/b:rw", want: bind("/a", "/b")},
		{in: "/a:/b:ro,ro", want: with(bind("/a", "/b"), func(m *option.Mount) { m.ReadOnly = true })},
		{in: "/a:/b:rslave,ro", want: with(bind("/a", "/b"), func(m *option.Mount) { m.ReadOnly, m.Propagation = true, "rslave" })},
		{in: "/a:/b:bind", want: with(bind("/a", "/b"), func(m *option.Mount) { m.Recursive = false })},
		{in: "/a:/b:cached", want: bind("/a", "/b")},
		{in: "/a:/b:noexec,nosuid,dev", want: with(bind("/a", "/b"), func(m *option.Mount) { m.Options = []string{"noexec", "nosuid"} })},
		{in: "/a:/b:z,ro", want: with(bind("/a", "/b"), func(m *option.Mount) {
			m.ReadOnly = true
			m.Notices = []string{"volume option z has no effect: rl does not set SELinux labels"}
		})},
		{in: "data:/b", want: option.Mount{Type: option.Volume, Source: "data", Target: "/b"}},
		{in: "my_data.1-x:/b:nocopy,ro", want: option.Mount{Type: option.Volume, Source: "my_data.1-x", Target: "/b", NoCopy: true, ReadOnly: true}},
		{in: "/b", want: option.Mount{Type: option.Volume, Target: "/b"}},

		{in: "", err: "nothing there", hint: "SOURCE:DESTINATION"},
		{in: ":", err: "nothing between the colons"},
		{in: ":/b", err: "nothing between the colons"},
		{in: "/a:", err: "nothing between the colons"},
		{in: "/a::ro", err: "nothing between the colons"},
		{in: "/a:/b:", err: "nothing between the colons"},
		{in: "/a:b", err: `the destination "b" is not an absolute path`},
		{in: "b", err: `the destination "b" is not an absolute path`},
		{in: "/a:ro", err: "a source and options, but no destination"},
		{in: "/a:z,ro", err: "a source and options, but no destination"},
		{in: "/a:/", err: "cannot be the root directory"},
		{in: "/a:/b/..", err: "cannot be the root directory"},
		{in: "/a:/b/../../..", err: "cannot be the root directory"},
		{in: "/", err: "cannot be the root directory"},
		{in: "/a:/b:ro:rw", err: "too many colons", hint: "--mount"},
		{in: "src/app:/b", err: `"src/app" is not a name for a volume`, hint: "./src/app"},
		{in: "x:/b", err: "is not a name for a volume", hint: "two or more"},
		{in: "da ta:/b", err: "is not a name for a volume"},
		{in: "~/x:/b", err: "did not expand the ~", hint: `"$HOME/x"`},
		{in: "~:/b", err: "did not expand the ~", hint: `"$HOME"`},
		{in: "/a:/b:ro,rw", err: "ro and rw contradict each other"},
		{in: "/a:/b:shared,rslave", err: "shared and rslave contradict"},
		{in: "/a:/b:exec,noexec", err: "exec and noexec contradict"},
		{in: "/a:/b:bind,rbind", err: "contradict"},
		{in: "/a:/b:z,Z", err: "contradict"},
		{in: "/a:/b:r", err: `unknown option "r"`},
		{in: "/a:/b:ro,", err: `unknown option ""`},
		{in: "/a:/b:rshraed", err: "unknown option", hint: `did you mean "rshared"?`},
		{in: "/a:/b:U", err: "changing the owner", hint: "keep-id"},
		{in: "/a:/b:O", err: "not supported"},
		{in: "/a:/b:O,upperdir=/x", err: "not supported"},
		{in: "/a:/b:idmap", err: "need root"},
		{in: "/a:/b:idmap=uids=0-1-10", err: "need root"},
		{in: "/a:/b:nocopy", err: "only a volume is filled"},
		{in: "data:/b:rslave", err: "not a volume"},
		{in: "data:/b:rbind", err: "not a volume"},
		{in: "/a\x00:/b", err: "NUL"},
		{in: "/a:/b\x00", err: "NUL"},
		{in: "/a:b\n\x1b[31m" + strings.Repeat("x", 5000), err: "is not an absolute path"},
	})
}

func TestParseMount(t *testing.T) {
	bind := func(change func(*option.Mount)) option.Mount {
		m := option.Mount{Type: option.Bind, Source: "/a", Target: "/b", Recursive: true}
		change(&m)
		return m
	}
	table(t, option.ParseMount, []row[option.Mount]{
		{in: "type=bind,src=/a,dst=/b", want: bind(func(*option.Mount) {})},
		{in: " type=bind,source=/a,target=/b ", want: bind(func(*option.Mount) {})},
		{in: "TYPE=Bind,Source=/a/.,destination=/b/", want: bind(func(*option.Mount) {})},
		{in: "type=bind,src=/a,dst=/b,ro", want: bind(func(m *option.Mount) { m.ReadOnly = true })},
		{in: "type=bind,src=/a,dst=/b,readonly=true", want: bind(func(m *option.Mount) { m.ReadOnly = true })},
		{in: "type=bind,src=/a,dst=/b,ro=0", want: bind(func(*option.Mount) {})},
		{in: "type=bind,src=/a,dst=/b,consistency=cached", want: bind(func(*option.Mount) {})},
		{in: "type=bind,src=/a,dst=/b,bind-propagation=rslave", want: bind(func(m *option.Mount) { m.Propagation = "rslave" })},
		{in: "bind-propagation=rshared,type=bind,src=/a,dst=/b", want: bind(func(m *option.Mount) { m.Propagation = "rshared" })},
		{in: "type=bind,src=/a,dst=/b,bind-nonrecursive", want: bind(func(m *option.Mount) { m.Recursive = false })},
		{in: "type=bind,src=/a,dst=/b,bind-nonrecursive=false", want: bind(func(*option.Mount) {})},
		{in: "type=bind,src=/a,dst=/b,bind-recursive=disabled", want: bind(func(m *option.Mount) { m.Recursive = false })},
		{in: "type=bind,src=/a,dst=/b,bind-recursive=enabled", want: bind(func(*option.Mount) {})},
		{in: "type=bind,src=/a,dst=/b,ro,bind-recursive=writable", want: bind(func(m *option.Mount) { m.ReadOnly, m.RecursiveReadOnly = true, "writable" })},
		{in: "type=bind,src=/a,dst=/b,bind-create-src=false", want: bind(func(*option.Mount) {})},
		{in: "type=bind,src=./a,dst=/b", want: bind(func(m *option.Mount) { m.Source = "./a" })},
		{in: "type=bind,src=sub/a,dst=/b", want: bind(func(m *option.Mount) { m.Source = "sub/a" })},
		{in: `type=bind,"src=/a,""b""",dst=/b`, want: bind(func(m *option.Mount) { m.Source = `/a,"b"` })},
		{in: "type=bind,src=/a:c,dst=/b", want: bind(func(m *option.Mount) { m.Source = "/a:c" })},
		{in: "type=bind,src=/a=c,dst=/b", want: bind(func(m *option.Mount) { m.Source = "/a=c" })},
		{in: "type=bind,src=/a,dst=/b,relabel=shared", want: bind(func(m *option.Mount) {
			m.Notices = []string{"mount option relabel has no effect: rl does not set SELinux labels"}
		})},
		{in: "type=tmpfs,dst=/b", want: option.Mount{Type: option.Tmpfs, Target: "/b", Options: tmpfsDefaults}},
		{in: "type=tmpfs,dst=/b,tmpfs-size=64m,tmpfs-mode=0755,ro", want: option.Mount{
			Type: option.Tmpfs, Target: "/b", ReadOnly: true, Options: append(tmpfsDefaults[:3:3], "size=67108864", "mode=755"),
		}},
		{in: "dst=/b", want: option.Mount{Type: option.Volume, Target: "/b"}},
		{in: "src=data,dst=/b,volume-nocopy,volume-subpath=x/y", want: option.Mount{Type: option.Volume, Source: "data", Target: "/b", NoCopy: true, Subpath: "x/y"}},
		{in: "src=data,dst=/b,volume-driver=local", want: option.Mount{Type: option.Volume, Source: "data", Target: "/b"}},

		{in: "", err: "nothing there", hint: "type=bind,src=/host/path"},
		{in: "  ", err: "nothing there"},
		{in: "type=bind,src=/a", err: "no destination"},
		{in: "type=bind,dst=/b", err: "needs a source"},
		{in: "type=bind,src=/a,dst=b", err: "not an absolute path"},
		{in: "type=bind,src=/a,dst=/", err: "cannot be the root"},
		{in: "type=bind,src=/a,dst=/b,", err: `unknown option ""`},
		{in: "type=bind,src=/a,dst=/b,readnoly", err: "unknown option", hint: `"readonly"`},
		{in: "type=bind,src=/a,dst=/b,readonly=maybe", err: "neither true nor false"},
		{in: "type=bind,src=/a,dst=/b,readonly=", err: "has no value"},
		{in: "type=bind,src=/a, dst=/b", err: "blanks around"},
		{in: "type=bind,src,dst=/b", err: "src needs a value"},
		{in: "type=bnd,src=/a,dst=/b", err: `no such type: "bnd"`, hint: `"bind"`},
		{in: "type=image,src=/a,dst=/b", err: "type image are not supported"},
		{in: "type=bind,src=/a,dst=/b,bind-propagation=x", err: "no such propagation"},
		{in: "type=bind,src=/a,dst=/b,bind-recursive=x", err: "no such value"},
		{in: "type=bind,src=/a,dst=/b,bind-recursive=readonly", err: "is about a mount that is readonly"},
		{in: "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=shared", err: "needs the propagation rprivate"},
		{in: "type=bind,src=/a,dst=/b,bind-create-src", err: "never made"},
		{in: "type=bind,src=/a,dst=/b,tmpfs-size=1m", err: "tmpfs-size does not fit a mount of type bind"},
		{in: "type=tmpfs,dst=/b,bind-propagation=slave", err: "does not fit a mount of type tmpfs"},
		{in: "dst=/b,bind-propagation=slave,volume-nocopy", err: "different types"},
		{in: "type=tmpfs,src=/a,dst=/b", err: "a tmpfs has no source"},
		{in: "type=tmpfs,dst=/b,tmpfs-size=1q", err: "not a size"},
		{in: "type=tmpfs,dst=/b,tmpfs-mode=9", err: "not a file mode"},
		{in: "type=tmpfs,dst=/b,tmpfs-mode=10000", err: "not a file mode"},
		{in: "src=/a,dst=/b", err: "not found at a path", hint: "add type=bind"},
		{in: "src=./a,dst=/b", err: "not found at a path"},
		{in: "src=data,dst=/b,volume-driver=nfs", err: "no driver"},
		{in: "src=data,dst=/b,volume-opt=a=b", err: "needs root"},
		{in: "src=data,dst=/b,volume-subpath=/x", err: "leaves the volume"},
		{in: "src=data,dst=/b,volume-subpath=x/../../y", err: "leaves the volume"},
		{in: "src=data,dst=/b,volume-label=a=b,volume-label=c", want: option.Mount{Type: option.Volume, Source: "data", Target: "/b",
			Labels: []option.Label{{Key: "a", Value: "b"}, {Key: "c"}}}},
		{in: "src=data,dst=/b,volume-label=a b=c", err: "not a label"},
		{in: "type=bind,src=/a,dst=/b,chown=true", err: "changing the owner"},
		{in: "type=bind,src=/a,dst=/b,bogus=1", err: `unknown option "bogus"`},
		{in: `type=bind,src="/a",dst=/b`, err: "a quote within a field"},
		{in: `type=bind,"src=/a`, err: "never closed"},
		{in: `"type=bind"x,src=/a,dst=/b`, err: "between a closing quote"},
		{in: "type=bind,src=/a\x00,dst=/b", err: "NUL"},
		{in: "type=bind,src=~/a,dst=/b", err: "did not expand"},
	})
}

func TestParseTmpfs(t *testing.T) {
	tmpfs := func(options ...string) option.Mount {
		return option.Mount{Type: option.Tmpfs, Target: "/run", Options: options}
	}
	table(t, option.ParseTmpfs, []row[option.Mount]{
		{in: "/run", want: tmpfs("nosuid", "nodev", "noexec")},
		{in: "/run:", want: tmpfs("nosuid", "nodev", "noexec")},
		{in: "/run/", want: tmpfs("nosuid", "nodev", "noexec")},
		{in: "/run:exec", want: tmpfs("nosuid", "nodev")},
		{in: "/run:rw,noexec,nosuid,size=65536k", want: tmpfs("nodev", "noexec", "nosuid", "size=67108864")},
		{in: "/run:suid,dev,exec", want: tmpfs([]string{}...)},
		{in: "/run:exec,noexec", want: tmpfs("nosuid", "nodev", "noexec")},
		{in: "/run:mode=1777,uid=1000,gid=0,nr_inodes=10k", want: tmpfs("nosuid", "nodev", "noexec", "mode=1777", "uid=1000", "gid=0", "nr_inodes=10240")},
		{in: "/run:size=50%", want: tmpfs("nosuid", "nodev", "noexec", "size=50%")},
		{in: "/run:size=1m,size=2m", want: tmpfs("nosuid", "nodev", "noexec", "size=2097152")},
		{in: "/run:noatime,strictatime,nodiratime,sync,async", want: tmpfs("nosuid", "nodev", "noexec", "strictatime", "nodiratime")},
		{in: "/run:noatime,defaults,notmpcopyup", want: tmpfs("nosuid", "nodev", "noexec", "noatime")},
		{in: "/run:ro,rshared", want: option.Mount{Type: option.Tmpfs, Target: "/run", ReadOnly: true, Propagation: "rshared", Options: tmpfsDefaults}},

		{in: "", err: "no destination", hint: "size=64m"},
		{in: "run", err: "not an absolute path"},
		{in: "/", err: "cannot be the root"},
		{in: "/run:size", err: "size needs a value"},
		{in: "/run:size=x", err: "not a size"},
		{in: "/run:size=101%", err: "not a size"},
		{in: "/run:size=1%,x", err: "unknown option"},
		{in: "/run:mode=abc", err: "not a file mode"},
		{in: "/run:uid=root", err: "uid is not an id"},
		{in: "/run:gid=-1", err: "gid is not an id"},
		{in: "/run:exec=1", err: "exec takes no value"},
		{in: "/run:noexce", err: "unknown option", hint: `"noexec"`},
		{in: "/run:bogus=1", err: "unknown option"},
		{in: "/run:ro,", err: "nothing between the commas"},
		{in: "/r\x1bn:tmpcopyup", err: "starts empty", hint: "-v /r?n"},
		{in: "/run:tmpcopyup", err: "starts empty", hint: "-v /run"},
		{in: "/run:mpol=bind:0", err: "not supported"},
		{in: "/run:nr_inodes=x", err: "not a number"},
	})
}
