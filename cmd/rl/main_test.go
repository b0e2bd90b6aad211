package main

import (
	"os"
	"testing"

	"rl/cmd/rl/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestScript runs testdata/script, one script a verb or a promise.
//
//	make test ARGS='-run TestScript/single/run-exit ./cmd/rl'
func TestScript(t *testing.T) { harness.Scripts(t, "../../testdata/script") }
