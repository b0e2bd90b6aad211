package harness

import (
	"fmt"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"rl/oci/registry/badregistry"
)

// Flaky starts a registry that holds some images (as NAME:latest) and fails on purpose:
//
//	cut=N       the first N answers with a blob break off in the middle
//	norange     Range is ignored: always the whole blob
//	429=N 500=N the first N requests for blobs get this status; without =N all
//	flip        the bytes of every blob are wrong
//	short       blobs end early, and say so in Content-Length
//	long        blobs go on after their end
//	manifest    manifests are not what their digest says
//	slow        blobs come in drips
//	basic=U:P   wants this user by basic authentication
//	token=U:P   wants a bearer token, which this user gets from /token
func Flaky(modes []string, images map[string]v1.Image) (*badregistry.Registry, string, error) {
	r := badregistry.New()
	host, err := r.Listen()
	if err != nil {
		return nil, "", err
	}
	for name, img := range images {
		if err := Push(host+"/"+name+":latest", img); err != nil {
			return nil, "", err
		}
	}
	r.Forget()
	for _, m := range modes {
		kind, value, counted := strings.Cut(m, "=")
		times := 0 // for ever
		if counted && kind != "basic" && kind != "token" {
			if times, err = strconv.Atoi(value); err != nil {
				return nil, "", err
			}
		}
		fault := badregistry.Fault{On: "/blobs/", Times: times}
		switch kind {
		case "basic", "token":
			r.User, r.Password, _ = strings.Cut(value, ":")
			r.Bearer = kind == "token"
			continue
		case "429", "500", "503":
			fault.Status, _ = strconv.Atoi(kind)
			fault.RetryAfter = "0"
		case "cut":
			fault.Cut, fault.CutAfter = true, 4096
		case "norange":
			fault.IgnoreRange = true
		case "flip":
			fault.Wrong = true
		case "short":
			fault.Truncate = 100
		case "long":
			fault.Extra = 100
		case "manifest":
			fault.On, fault.Wrong = "/manifests/", true
		case "slow":
			fault.Pause, fault.Chunk = 50_000_000, 64<<10
		default:
			return nil, "", fmt.Errorf("unknown way to fail %q", m)
		}
		r.Break(fault)
	}
	return r, host, nil
}
