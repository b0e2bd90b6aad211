package option_test

import (
	"strings"
	"testing"

	"rl/run/plan/option"
)

func TestParseModes(t *testing.T) {
	table(t, option.ParsePid, []row[option.Mode]{
		{in: "", want: option.Mode{Name: option.Private}},
		{in: "private", want: option.Mode{Name: option.Private}},
		{in: "host", want: option.Mode{Name: option.Host}},
		{in: "container:web", want: option.Mode{Name: option.Container, Arg: "web"}},
		{in: "none", err: "no such mode", hint: "modes are private, host, container:NAME, ns:PATH"},
		{in: "container:", err: "no such mode"},
		{in: "host:", err: "no such mode"},
		{in: "hots", err: `pid mode "hots"`},
	})
	table(t, option.ParseUTS, []row[option.Mode]{
		{in: "host", want: option.Mode{Name: option.Host}},
		{in: "x", err: `uts mode "x"`},
	})
	table(t, option.ParseIPC, []row[option.Mode]{
		{in: "shareable", want: option.Mode{Name: option.Private}},
		{in: "none", want: option.Mode{Name: option.None}},
		{in: "host", want: option.Mode{Name: option.Host}},
		{in: "x", err: `ipc mode "x"`},
	})
	table(t, option.ParseUserns, []row[option.Userns]{
		{in: "", want: option.Userns{Mode: option.Private, UID: -1, GID: -1}},
		{in: "host", want: option.Userns{Mode: option.Host, UID: -1, GID: -1}},
		{in: "single", want: option.Userns{Mode: option.Single, UID: -1, GID: -1}},
		{in: "keep-id", want: option.Userns{Mode: option.KeepID, UID: -1, GID: -1}},
		{in: "keep-id:uid=200,gid=210", want: option.Userns{Mode: option.KeepID, UID: 200, GID: 210}},
		{in: "keep-id:gid=0", want: option.Userns{Mode: option.KeepID, UID: -1, GID: 0}},
		{in: "keepid", err: "no such mode", hint: "keep-id"},
		{in: "auto", err: "not supported"},
		{in: "nomap", err: "not supported"},
		{in: "host:x", err: "takes nothing after a colon"},
		{in: "keep-id:", err: "unknown option"},
		{in: "keep-id:uid", err: "uid is not an id"},
		{in: "keep-id:uid=-1", err: "uid is not an id"},
		{in: "keep-id:uid=4294967296", err: "uid is not an id"},
		{in: "keep-id:size=5", err: `unknown option "size"`},
	})
}

func TestNearest(t *testing.T) {
	verbs := []string{"run", "pull", "images", "rmi", "inspect", "doctor", "version", "completion"}
	for word, want := range map[string]string{
		"run": "run", "rnu": "run", "runn": "run", "ru": "run", "RUN": "run", "r": "", "": "",
		"pul": "pull", "plul": "pull", "push": "", "image": "images", "imgaes": "images", "inspekt": "inspect", "docktor": "doctor",
		"comp": "completion", "vers": "version", "exec": "", "xyz": "", "build": "", strings.Repeat("x", 1000): "",
	} {
		if got := option.Nearest(word, verbs); got != want {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
	if got := option.Nearest("ab", []string{"", "abc", "abd"}); got != "abc" {
		t.Errorf("the first of the nearest wins: %q", got)
	}
	if got := option.Nearest("--net", []string{"--network", "--network-alias"}); got != "" {
		t.Errorf("an ambiguous beginning: %q", got)
	}
}
