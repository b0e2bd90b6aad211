package oci

import (
	"bytes"
	"encoding/json"
	"time"
)

// Healthcheck is how a container is asked whether it does what it is for. It is
// docker's part of an image's configuration, which the OCI specification lacks.
type Healthcheck struct {
	Test          []string      `json:",omitempty"` // NONE; CMD and a program; CMD-SHELL and a line for the shell; empty: inherit
	Interval      time.Duration `json:",omitempty"` // these are nanoseconds
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	Retries       int           `json:",omitempty"`
}

// The kinds of a test, its first word.
const (
	TestNone  = "NONE"
	TestCmd   = "CMD"
	TestShell = "CMD-SHELL"
)

// Extras are what docker's configuration of an image has beside OCI's.
type Extras struct {
	Healthcheck *Healthcheck `json:",omitempty"`
	Shell       []string     `json:",omitempty"` // of CMD-SHELL; empty: /bin/sh -c
}

// ReadExtras reads them of an image's configuration. Most images have none, which costs no
// parsing. What cannot be read does not keep the image from being run: it becomes a test of a
// kind that there is not.
func ReadExtras(config []byte) Extras {
	if !bytes.Contains(config, []byte(`"Healthcheck"`)) {
		return Extras{}
	}
	var c struct {
		Config Extras `json:"config"`
	}
	if json.Unmarshal(config, &c) != nil {
		return Extras{Healthcheck: &Healthcheck{Test: []string{"malformed"}}}
	}
	return c.Config
}
