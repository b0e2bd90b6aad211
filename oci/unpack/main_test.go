package unpack

import (
	"os"
	"testing"
)

// TestMain lets the test binary be the worker, as the rl binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "unpack-worker" {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}
