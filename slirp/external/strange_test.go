package external

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rl/userns/sys/fault"
)

func TestNotInstalled(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, f := container(t)
	for kind, pack := range map[Kind]string{Pasta: "passt", Slirp4netns: "slirp4netns"} {
		var fe *fault.Error
		_, err := Start(context.Background(), kind, f, Options{})
		if !errors.As(err, &fe) || !strings.Contains(fe.Hint, "package "+pack) || err.Error() != string(kind)+" is not installed" {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := Start(context.Background(), kind, f, Options{Path: "/nonexistent/program"}); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s of a wrong path: %v", kind, err)
		}
	}
	if _, err := Start(context.Background(), "vpnkit", f, Options{Path: "/bin/true"}); err == nil {
		t.Error("an unknown program was started")
	}
}

// TestStrange runs programs that do not do what they should.
func TestStrange(t *testing.T) {
	_, f := container(t)
	for name, c := range map[string]struct{ text, want string }{
		"ends well":               {"exit 0", "it ended"},
		"ends with a story":       {"echo one >&2; echo two >&2; exit 3", "exit status 3: one; two"},
		"is killed":               {"kill -9 $$", "signal: killed"},
		"never gets ready":        {"exec 3>&- >&-; exec sleep 600", "deadline exceeded"},
		"says something else":     {"echo hello; echo hello >&3; exec sleep 600", "deadline exceeded"},
		"hangs with its last end": {"exec 3>&- >&-; sleep 600 & echo gone >&2; kill -9 $!; exit 1", "exit status 1: gone"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if strings.Contains(c.want, "deadline") {
				ctx, cancel = context.WithTimeout(ctx, time.Second)
				defer cancel()
			}
			for _, kind := range []Kind{Pasta, Slirp4netns} {
				if kind == Slirp4netns && strings.Contains(c.want, "deadline") {
					continue // the time is over
				}
				p, err := Start(ctx, kind, f, Options{Path: script(t, c.text)})
				if p != nil || err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: %v", kind, err)
				}
			}
		})
	}
}

// TestDescriptors checks that the program gets what it needs, and nothing else.
func TestDescriptors(t *testing.T) {
	_, f := container(t)
	for kind, want := range map[Kind]string{Pasta: "0 1 2", Slirp4netns: "0 1 2 3"} {
		out := filepath.Join(t.TempDir(), "out")
		p, err := Start(context.Background(), kind, f, Options{Path: script(t,
			`cd /proc/$$/fd; for i in 0 1 2 3 4 5 6 7 8 9; do [ -L $i ] && list="$list $i"; done
			echo $list $(readlink 0) $(env | grep -c RL_) >`+out+`; [ -L 3 ] && exec >&3; echo $$; exec sleep 600`)})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b); !strings.HasPrefix(got, want+" net:[") && !strings.HasPrefix(got, want+" /proc/") || !strings.HasSuffix(got, " 0\n") {
			t.Errorf("%s: %q", kind, got)
		}
	}
}
