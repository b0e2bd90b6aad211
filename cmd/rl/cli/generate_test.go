package cli

import (
	"strings"
	"testing"

	"rl/run/state"
)

func TestUnit(t *testing.T) {
	one := unit{exe: "/opt/my tools/rl", root: "/home/me/100%", restart: "always", rec: &state.Record{ID: "abc", Name: "web"}, name: "web"}
	for _, want := range []string{
		"# container-web.service\n",
		"ExecStart=\"/opt/my tools/rl\" --root /home/me/100%% start --attach web\n",
		"ExecStop=\"/opt/my tools/rl\" --root /home/me/100%% stop --ignore --time 10 web\n",
		"Restart=always\n", "Type=exec\n", "KillMode=mixed\n", "Delegate=yes\n", "WantedBy=default.target\n",
	} {
		if !strings.Contains(one.text(), want) {
			t.Errorf("the unit lacks %q:\n%s", want, one.text())
		}
	}
	all := unit{exe: "/usr/bin/rl", root: "/r", restart: "no"}
	for _, want := range []string{"# rl-restart.service\n", "Type=oneshot\n", "RemainAfterExit=yes\n", "ExecStart=/usr/bin/rl --root /r start --restart-policy\n"} {
		if !strings.Contains(all.text(), want) {
			t.Errorf("the unit lacks %q:\n%s", want, all.text())
		}
	}
	if strings.Contains(all.text(), "ExecStop") { // it would count as the user's stop
		t.Errorf("the unit stops what it should end:\n%s", all.text())
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"/usr/bin/rl": "/usr/bin/rl", "/a b/c": `"/a b/c"`, "/a%h": "/a%%h", "/$HOME/rl": "/$$HOME/rl", `/a"b\c`: `"/a\"b\\c"`,
	} {
		if got := quoteUnit(in); got != want {
			t.Errorf("unit: %s is %s", in, got)
		}
	}
	for in, want := range map[string]string{
		"/usr/bin/rl": "/usr/bin/rl", "/a b/c": "'/a b/c'", "/it's": `'/it'\''s'`, "/100%": `'/100\%'`, "/$HOME": "'/$HOME'",
	} {
		if got := quoteCron(in); got != want {
			t.Errorf("cron: %s is %s", in, got)
		}
	}
}
