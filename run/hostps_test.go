package run

import (
	"reflect"
	"testing"
)

func TestPsColumns(t *testing.T) {
	const out = "  PID COMMAND\n   12 sleep 1000 now\n  123 sh\n"
	for _, c := range []struct {
		out  string
		pids []string
		want [][]string // nil: it cannot be told
	}{
		{out, nil, [][]string{{"PID", "COMMAND"}, {"12", "sleep 1000 now"}, {"123", "sh"}}},
		{out, []string{"12"}, [][]string{{"PID", "COMMAND"}, {"12", "sleep 1000 now"}}},
		{out, []string{}, [][]string{{"PID", "COMMAND"}}},
		{"USER COMMAND\nroot PID\n", []string{"12"}, nil},
		{"USER\nroot\n", nil, [][]string{{"USER"}, {"root"}}},
		{"USER PID\nroot\n", []string{"12"}, [][]string{{"USER", "PID"}}},
		{"", nil, [][]string{{}}},
	} {
		got, err := psColumns(c.out, c.pids)
		if (err != nil) != (c.want == nil) || err == nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q, %q: %q, %v", c.out, c.pids, got, err)
		}
	}
}
