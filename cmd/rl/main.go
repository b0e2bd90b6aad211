// Command rl runs containers for people who have no root.
package main

import (
	"os"

	"rl/cmd/rl/cli"
	"rl/run"
	"rl/run/inside/reaper"
	"rl/run/monitor"
	"rl/run/monitor/ahead"
	"rl/userns/probe"
	"rl/userns/stage"
	_ "rl/userns/stage/gate"
)

func main() {
	// What rl executes itself as. Init is not here: it takes over earlier, see run/inside.
	stage.Dispatch(map[string]func() int{
		monitor.Stage:    monitor.Main,
		run.StageUnpack:  run.UnpackMain,
		run.StageRemove:  run.RemoveMain,
		run.StageMeasure: run.MeasureMain, run.StageCarry: run.CarryMain,
		"probe":  probe.Main,
		"reaper": reaper.Main,
	})
	code := cli.Main(os.Args[1:], cli.Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	ahead.End()
	os.Exit(code)
}
