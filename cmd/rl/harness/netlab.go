package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"rl/cmd/rl/harness/netlab"
	"rl/cmd/rl/harness/peer"
)

// role plays the program that the test binary was called as, if it is another.
func role() (status int, played bool) {
	switch filepath.Base(os.Args[0]) {
	case peer.Name:
		return peer.Main(os.Args[1:]), true
	case netlab.Name:
		return netlab.Main(), true
	}
	return 0, false
}

// cmdNetlab makes the lab of a script, or asks its keeper for something: see
// package netlab for the hosts and addresses, and netlab/keeper.go for the words.
//
//	netlab [noipv6] [noping]     from here on rl runs in "this host"
//	netlab run here ip …         with privilege; the output is the script's stdout
//	netlab log                   what servers saw since the last time
//	exec here CMD…               as the user, in either host, as rl itself
//	exec there CMD…
//	cp FILE $RESOLV              another /etc/resolv.conf in this host
func cmdNetlab(ts *testscript.TestScript, neg bool, args []string) {
	s := of(ts)
	if s.lab != nil {
		if len(args) == 0 {
			ts.Fatalf("there is a lab already")
		}
		if args[0] == "cover" && len(args) == 3 {
			args[2] = ts.MkAbs(args[2])
		}
		out, err := s.lab.Do(args[0], args[1:]...)
		fmt.Fprint(ts.Stdout(), out)
		if neg == (err == nil) {
			ts.Fatalf("netlab %s: %v", strings.Join(args, " "), err)
		}
		return
	}
	config := netlab.Config{Subids: ts.Getenv("RUNG") == "subids", Relay: s.reg.Host}
	for _, a := range args {
		switch a {
		case "noipv6":
			config.NoIPv6 = true
		case "noping":
			config.NoPing = true
		default:
			ts.Fatalf("usage: netlab [noipv6] [noping]")
		}
	}
	for _, program := range []string{"nsenter", "ip"} {
		if _, err := exec.LookPath(program); err != nil && !Required() {
			s.t.Skip("needs " + program + "; `make test-set-up` as root installs it")
		}
	}
	scratch, err := Scratch()
	ts.Check(err)
	config.Dir, err = os.MkdirTemp(scratch, "lab")
	ts.Check(err)
	lab, err := netlab.Start(config)
	if err != nil && !Required() {
		s.t.Skip("no network laboratory can be made here: " + err.Error())
	}
	ts.Check(err)
	s.lab = lab
	ts.Check(wrappers(ts, lab))
	ts.Setenv("RESOLV", lab.Resolv())
}

// wrappers are programs that run others in the hosts of the lab; first on PATH
// is an rl that is one, too. A mount namespace has a working directory of its
// own: they go where the script is.
func wrappers(ts *testscript.TestScript, lab *netlab.Lab) error {
	dir := filepath.Join(lab.Dir, "bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	binary, err := exec.LookPath(filepath.Join(strings.SplitN(ts.Getenv("PATH"), ":", 2)[0], "rl"))
	if err != nil {
		return err
	}
	for name, w := range map[string]struct {
		enter []string
		rest  string
	}{
		"here":  {lab.Here(), `"$@"`},
		"there": {lab.There(), `"$@"`},
		"rl":    {lab.Here(), binary + ` "$@"`},
	} {
		text := "#!/bin/sh\nexec " + strings.Join(w.enter, " ") + ` env -C "$PWD" ` + w.rest + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	ts.Setenv("PATH", dir+":"+ts.Getenv("PATH"))
	return nil
}
