package vm_test

import (
	"os"
	"path/filepath"
	"testing"

	"rl/cmd/rl/harness"
	"rl/cmd/rl/harness/vm"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == vm.AgentName {
		os.Exit(vm.Agent(os.Args[1:]))
	}
	os.Exit(harness.Main(m))
}

// TestScript runs testdata/vm in a machine of its own.
//
//	make test-vm ARGS='-run TestScript/limits'
func TestScript(t *testing.T) { vm.Scripts(t, "../../../../testdata/vm") }
