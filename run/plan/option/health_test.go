package option

import (
	"reflect"
	"testing"
	"time"
)

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		in   HealthText
		want Health
		ok   bool
	}{
		{HealthText{}, Health{}, true},
		{HealthText{None: true}, Health{Test: []string{"NONE"}}, true},
		{HealthText{None: true, Retries: "1"}, Health{}, false},
		{HealthText{Cmd: "none"}, Health{Test: []string{"NONE"}}, true},
		{HealthText{Cmd: "test -e /ready || exit 1"}, Health{Test: []string{"CMD-SHELL", "test -e /ready || exit 1"}}, true},
		{HealthText{Cmd: `["test","-e","/a b"]`}, Health{Test: []string{"CMD", "test", "-e", "/a b"}}, true},
		{HealthText{Cmd: `["CMD-SHELL","true"]`}, Health{Test: []string{"CMD-SHELL", "true"}}, true},
		{HealthText{Cmd: `["CMD"]`}, Health{}, false},
		{HealthText{Cmd: `["a",1]`}, Health{}, false},
		{HealthText{Cmd: `["a"`}, Health{}, false},
		{HealthText{Cmd: `[ -e /ready ]`}, Health{Test: []string{"CMD-SHELL", "[ -e /ready ]"}}, true},
		{HealthText{Interval: "1m30s", Timeout: "2s", StartPeriod: "3s", StartInterval: "4s", Retries: "5", OnFailure: "kill"},
			Health{Interval: 90 * time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, StartInterval: 4 * time.Second, Retries: 5, OnFailure: "kill"}, true},
		{HealthText{OnFailure: "none"}, Health{}, true},
		{HealthText{OnFailure: "panic"}, Health{}, false},
		{HealthText{Interval: "5"}, Health{}, false},
		{HealthText{Timeout: "-5s"}, Health{}, false},
		{HealthText{Retries: "-1"}, Health{}, false},
		{HealthText{Retries: "many"}, Health{}, false},
	} {
		got, err := c.in.Parse()
		if (err == nil) != c.ok || c.ok && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: %+v, %v", c.in, got, err)
		}
	}
}
