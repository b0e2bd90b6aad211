package oci

import (
	"reflect"
	"testing"
	"time"
)

func TestReadExtras(t *testing.T) {
	for in, want := range map[string]Extras{
		`{"config":{"Cmd":["Healthcheck"]}}`: {},
		`{"config":{"Shell":["/bin/ash","-c"],"Healthcheck":{"Test":["CMD","true"],"Interval":1500000000,"Retries":2}}}`: {
			Healthcheck: &Healthcheck{Test: []string{"CMD", "true"}, Interval: 1500 * time.Millisecond, Retries: 2}, Shell: []string{"/bin/ash", "-c"}},
		`{"config":{"Healthcheck":null}}`:                 {},
		`{"config":{"Healthcheck":{"Interval":"30s"}}}`:   {Healthcheck: &Healthcheck{Test: []string{"malformed"}}},
		`{"config":{"Healthcheck":{"Interval":1e300}}}`:   {Healthcheck: &Healthcheck{Test: []string{"malformed"}}},
		`{"config":{"Healthcheck":["CMD","true"]}}`:       {Healthcheck: &Healthcheck{Test: []string{"malformed"}}},
		`{"config":{"Labels":{"Healthcheck":"is here"}}}`: {},
	} {
		if got := ReadExtras([]byte(in)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", in, got)
		}
	}
}
