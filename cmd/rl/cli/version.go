package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
)

// version is set by the linker.
var version = "0.1.0-dev"

type versionCmd struct {
	Format string `short:"f" placeholder:"TEMPLATE" help:"json, or a Go template."`
}

type versionInfo struct {
	Version   string
	GoVersion string
	OS        string
	Arch      string
}

// Run prints the version.
func (c *versionCmd) Run(a *app) error {
	v := versionInfo{version, runtime.Version(), runtime.GOOS, runtime.GOARCH}
	switch c.Format {
	case "":
		_, err := fmt.Fprintln(a.Out, versionLine())
		return err
	case "json":
		return json.NewEncoder(a.Out).Encode(v)
	}
	return format(a.Out, c.Format, []versionInfo{v})
}

func versionLine() string {
	return fmt.Sprintf("rl version %s, %s, %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
