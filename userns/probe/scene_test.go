package probe

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// sceneEnv makes the test binary look at the machine once and write a report.
const sceneEnv = "RL_PROBE_SCENE"

func playScene() int {
	f := here()
	var r Report
	for _, name := range strings.Fields(os.Getenv(sceneEnv)) {
		r.Checks = append(r.Checks, f.Check(name))
	}
	c, err := Identity(f, "")
	if err != nil {
		return 1
	}
	r.Choices = []Choice{c}
	if json.NewEncoder(os.Stdout).Encode(r) != nil {
		return 1
	}
	return 0
}

// Real places in which something is refused, made with unshare and setpriv,
// which every Debian has: what a test with fakes believes, the kernel says here.
func TestScenes(t *testing.T) {
	for _, c := range []struct {
		name   string
		script string // "$RL" is the program
		rung   Rung   // "" does not matter
		check  string
		status Status
		want   string
	}{
		{"unshare -r", `unshare -Ur "$RL"`, Single, "setgroups", StatusMissed, "denies"},
		{"an id that is root of one id can still nest", `unshare -Ur "$RL"`, Single, "userns", StatusOK, ""},
		{"nested", `unshare -Ur "$RL"`, Single, "nested", StatusInfo, "in a user namespace with 1 id"},
		{"limit of zero", `unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$RL"'`,
			"", "userns", StatusFailed, "user.max_user_namespaces=0"},
		{"limit used up", `unshare -Ur sh -c 'echo 1 > /proc/sys/user/max_user_namespaces; exec unshare -Ur "$RL"'`,
			"", "userns", StatusFailed, "used up"},
		{"no network namespaces", `unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_net_namespaces; exec "$RL"'`,
			"", "netns", StatusFailed, "user.max_net_namespaces=63414"},
		{"masked /proc", `unshare -Urmpf --mount-proc sh -c 'mount -t tmpfs none /proc/fs && exec "$RL"'`,
			"", "proc", StatusMissed, "unmask=ALL"},
		{"no_new_privs", `setpriv --no-new-privs "$RL"`, "", "no-new-privs", StatusMissed, "newuidmap"},
		{"chroot", `unshare -Urm sh -c 'mkdir -p "$DIR/r" && cp "$RL" "$DIR/r/rl" && for d in lib lib64 proc; do mkdir "$DIR/r/$d" && mount --rbind "/$d" "$DIR/r/$d"; done; exec chroot "$DIR/r" /rl'`,
			"", "userns", StatusFailed, "in a chroot"},
		{"no xattrs", `unshare -Urm sh -c 'mount -t ramfs none "$DIR" && RL_ROOT="$DIR" exec "$RL"'`,
			"", "store", StatusMissed, "user xattrs do not work"},
		{"overlay on overlay", `unshare -Urm sh -c 'cd "$DIR" && mkdir l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w,userxattr o m && RL_ROOT="$DIR/m" exec "$RL"'`,
			"", "overlay", StatusMissed, "refuses the store's filesystem (overlay)"},
		{"read-only store", `unshare -Urm sh -c 'mount -t tmpfs -o ro none "$DIR" && RL_ROOT="$DIR" exec "$RL"'`,
			"", "store", StatusFailed, "mounted read-only"},
		{"no file descriptors", `sh -c 'ulimit -n 100; exec "$RL"'`, "", "limits", StatusMissed, "few files may be open"},
	} {
		t.Run(c.name, func(t *testing.T) {
			exe, err := os.Executable()
			must(t, err)
			cmd := exec.Command("sh", "-c", c.script)
			cmd.Env = append(os.Environ(), sceneEnv+"="+c.check, "RL="+exe, "DIR="+t.TempDir())
			var errout strings.Builder
			cmd.Stderr = &errout
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, errout.String())
			}
			var r Report
			must(t, json.Unmarshal(out, &r))
			got := r.Checks[0]
			all := got.Fact + " | " + got.Reason + " | " + got.Remedy
			if got.Status != c.status || !strings.Contains(all, c.want) {
				t.Errorf("%s: %s %s; want %s %q", got.Name, got.Status, all, c.status, c.want)
			}
			if c.rung != "" && r.Choices[0].Rung != c.rung {
				t.Errorf("%+v; want %s", r.Choices[0], c.rung)
			}
		})
	}
}

// Privileges that helpers need are taken away for real; only for a user who
// has subordinate ids is there anything to lose.
func TestSceneNoNewPrivs(t *testing.T) {
	c, err := Identity(here(), "")
	must(t, err)
	if c.Rung != Subordinate {
		t.Skipf("this user is on the rung %q: %+v", c.Rung, c.Missed)
	}
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command("setpriv", "--no-new-privs", exe)
	cmd.Env = append(os.Environ(), sceneEnv+"=subids")
	out, err := cmd.Output()
	must(t, err)
	var r Report
	must(t, json.Unmarshal(out, &r))
	if got := r.Choices[0]; got.Rung != Single || !strings.Contains(got.reasons(), "no_new_privs") {
		t.Errorf("%+v", got)
	}
}
