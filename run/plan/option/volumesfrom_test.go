package option_test

import (
	"testing"

	"rl/run/plan/option"
)

func TestParseVolumesFrom(t *testing.T) {
	table(t, option.ParseVolumesFrom, []row[option.VolumesFrom]{
		{in: "web", want: option.VolumesFrom{Container: "web"}},
		{in: "web:rw", want: option.VolumesFrom{Container: "web"}},
		{in: "web:ro", want: option.VolumesFrom{Container: "web", ReadOnly: true}},
		{in: "web:ro,z", want: option.VolumesFrom{Container: "web", ReadOnly: true}},
		{in: "", err: "no container"},
		{in: ":ro", err: "no container"},
		{in: "web:", err: "no such mode"},
		{in: "web:sideways", err: "no such mode"},
		{in: "web:ro,rw", err: "contradict"},
	})
}
