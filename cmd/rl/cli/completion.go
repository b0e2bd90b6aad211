package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/posener/complete"
	"github.com/willabides/kongplete"

	"rl/oci/ref"
	"rl/run"
	"rl/userns/sys/fault"
)

type completionCmd struct {
	Shell string `arg:"" help:"bash, zsh or fish."`
}

// The scripts have rl itself complete: the shell hands it the line in COMP_LINE.
const (
	bashScript = "complete -C '%s' rl\n"
	zshScript  = "autoload -U +X bashcompinit && bashcompinit\ncomplete -o nospace -C '%s' rl\n"
	fishScript = "function __complete_rl\n    set -lx COMP_LINE (commandline -cp)\n    test -z (commandline -ct)\n    and set COMP_LINE \"$COMP_LINE \"\n    '%s'\nend\ncomplete -f -c rl -a \"(__complete_rl)\"\n"
)

// Run prints the script: `source <(rl completion bash)`.
func (c *completionCmd) Run(a *app) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	scripts := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}
	script, ok := scripts[c.Shell]
	if !ok {
		return fault.New("bash, zsh and fish are known", "no completion for the shell %q", c.Shell)
	}
	_, err = fmt.Fprintf(a.Out, script, strings.ReplaceAll(exe, "'", `'\''`))
	return err
}

// completing tells whether a shell asks for completions.
func completing() bool { return os.Getenv("COMP_LINE") != "" }

// complete prints what may follow.
func completeLine(parser *kong.Kong) {
	kongplete.Complete(parser, kongplete.WithPredictor("image", complete.PredictFunc(imageNames)),
		kongplete.WithPredictor("container", complete.PredictFunc(containerNames)),
		kongplete.WithPredictor("volume", complete.PredictFunc(volumeNames)))
}

// imageNames are the names of the store's images, as a user types them.
func imageNames(complete.Args) []string {
	e, err := run.Open(run.Settings{})
	if err != nil {
		return nil
	}
	all, err := e.Store.Images()
	if err != nil {
		return nil
	}
	var names []string
	for _, img := range all {
		r, err := ref.Parse(img.Name)
		if err != nil {
			continue
		}
		names = append(names, r.Familiar())
		if short := strings.TrimSuffix(r.Familiar(), ":latest"); short != r.Familiar() {
			names = append(names, short)
		}
	}
	return names
}

// containerNames are the names of all containers.
func containerNames(complete.Args) []string {
	e, err := run.Open(run.Settings{})
	if err != nil {
		return nil
	}
	return e.State.Names()
}

// volumeNames are the names of all volumes.
func volumeNames(complete.Args) (names []string) {
	e, err := run.Open(run.Settings{})
	if err != nil {
		return nil
	}
	list, _ := e.Volumes().List()
	for _, v := range list {
		names = append(names, v.Name)
	}
	return names
}
