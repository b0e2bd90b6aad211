package registry

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/registry/badregistry"
	"rl/oci/registry/manifest"
)

func TestResolve(t *testing.T) {
	reg, host := start(t)
	d := pushed(t, reg, "1", 100)
	for _, name := range []string{"/team/app:1", "/team/app@" + string(d.Digest), "/team/app:nonsense@" + string(d.Digest)} {
		reg.Forget()
		s, _ := open(t, host+name, Options{UserAgent: "rl/test"})
		got, err := s.Resolve(t.Context(), amd64)
		if err != nil {
			t.Fatal(err)
		}
		if got.Descriptor.Digest != d.Digest || got.Descriptor.Size != d.Size || got.Descriptor.MediaType != d.MediaType {
			t.Errorf("%s: %+v, want %+v", name, got.Descriptor, d)
		}
		if got.Name != host+name || len(got.Manifest.Layers) != 1 || manifest.Verify(got.Descriptor, got.Raw) != nil {
			t.Errorf("%s: %+v", name, got)
		}
		if q := reg.Requests(); len(q) != 1 || q[0].UserAgent != "rl/test" {
			t.Errorf("%s took %+v", name, q)
		}
	}
}

func TestResolveThroughIndexes(t *testing.T) {
	reg, host := start(t)
	platform := func(arch, variant string) v1.Descriptor {
		d, err := reg.PushImage("team/app", "", v1.Image{Author: arch + variant,
			Platform: v1.Platform{OS: "linux", Architecture: arch, Variant: variant}}, noise(10))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	amd, v6, v7 := platform("amd64", ""), platform("arm", "v6"), platform("arm", "v7")
	nested, err := reg.PushIndex("team/app", "", v6, v7)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.PushIndex("team/app", "flat", amd, v6, v7); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.PushIndex("team/app", "nested", amd, nested); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		tag  string
		want v1.Platform
		is   v1.Descriptor
	}{
		{"flat", amd64, amd},
		{"flat", v1.Platform{Architecture: "arm", Variant: "v6"}, v6},
		{"flat", v1.Platform{Architecture: "arm"}, v7},
		{"flat", v1.Platform{Architecture: "arm", Variant: "v8"}, v7},
		{"nested", amd64, amd},
		{"nested", v1.Platform{Architecture: "arm"}, v7},
	} {
		s, _ := open(t, host+"/team/app:"+tc.tag, Options{})
		got, err := s.Resolve(t.Context(), tc.want)
		if err != nil || got.Descriptor.Digest != tc.is.Digest {
			t.Errorf("%s %v: %v, %v", tc.tag, tc.want, got, err)
		}
		if err == nil && manifest.Format(*got.Descriptor.Platform) != manifest.Format(*tc.is.Platform) {
			t.Errorf("%s %v: platform %v", tc.tag, tc.want, got.Descriptor.Platform)
		}
	}
	s, _ := open(t, host+"/team/app:flat", Options{})
	_, err = s.Resolve(t.Context(), v1.Platform{OS: "linux", Architecture: "s390x"})
	wantText(t, err, "linux/s390x", "linux/amd64, linux/arm/v6, linux/arm/v7")
	if !errors.Is(err, oci.ErrPlatform) {
		t.Error(err)
	}
}

// An image for another machine is not refused here when there is only one.
func TestResolveOtherArchitecture(t *testing.T) {
	reg, host := start(t)
	pushed(t, reg, "1", 10)
	s, _ := open(t, host+"/team/app:1", Options{})
	if _, err := s.Resolve(t.Context(), v1.Platform{Architecture: "s390x"}); err != nil {
		t.Error(err)
	}
}

func TestResolveDockerSchema2(t *testing.T) {
	reg, host := start(t)
	config, err := reg.PushBlob("team/app", oci.DockerConfig, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	m := v1.Manifest{MediaType: oci.DockerManifest, Config: config}
	m.SchemaVersion = 2
	raw, _ := json.Marshal(m)
	d, err := reg.PushManifest("team/app", "1", oci.DockerManifest, raw)
	if err != nil {
		t.Fatal(err)
	}
	d.Platform = &amd64
	list, _ := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.DockerManifestList, "manifests": []v1.Descriptor{d}})
	if _, err := reg.PushManifest("team/app", "list", oci.DockerManifestList, list); err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"1", "list"} {
		s, _ := open(t, host+"/team/app:"+tag, Options{})
		got, err := s.Resolve(t.Context(), amd64)
		if err != nil || got.Descriptor.Digest != d.Digest || got.Descriptor.MediaType != oci.DockerManifest {
			t.Errorf("%s: %+v, %v", tag, got, err)
		}
	}
}

func TestResolveHostileManifests(t *testing.T) {
	sound := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
		string(digest.FromString("")) + `","size":0},"layers":[]`
	for name, tc := range map[string]struct {
		raw  string
		kind string
		f    badregistry.Fault
		is   error
		text []string
	}{
		"cut for ever":  {raw: sound + "}", f: bad{Cut: true, CutAfter: 5}, text: []string{"connection was cut", "tried 6 times"}},
		"truncated":     {raw: sound + "}", f: bad{Truncate: 5}, is: oci.ErrCorrupt, text: []string{"not the one it named"}},
		"wrong bytes":   {raw: sound + "}", f: bad{Wrong: true}, is: oci.ErrCorrupt},
		"wrong header":  {raw: sound + "}", f: bad{Header: map[string][]string{"Docker-Content-Digest": {"sha256:nonsense"}}}, is: oci.ErrCorrupt},
		"not JSON":      {raw: "<html>", is: oci.ErrCorrupt, text: []string{"not JSON"}},
		"huge":          {raw: sound + `,"x":"` + strings.Repeat("x", manifest.MaxSize) + `"}`, is: oci.ErrCorrupt, text: []string{"larger than"}},
		"schema 1":      {raw: `{"schemaVersion":1,"name":"x","fsLayers":[]}`, text: []string{"schema 1"}},
		"both at once":  {raw: sound + `,"manifests":[]}`, is: oci.ErrCorrupt, text: []string{"at once"}},
		"other type":    {raw: strings.Replace(sound, "image.manifest", "image.index", 1) + "}", is: oci.ErrCorrupt, text: []string{"calls itself"}},
		"helm chart":    {raw: strings.Replace(sound, "oci.image.config", "cncf.helm.config", 1) + "}", text: []string{"not a container image", "helm"}},
		"bad digest":    {raw: strings.Replace(sound, "sha256:", "sha256:/../", 1) + "}", is: oci.ErrCorrupt, text: []string{"not a digest"}},
		"negative size": {raw: strings.Replace(sound, `"size":0`, `"size":-1`, 1) + "}", is: oci.ErrCorrupt, text: []string{"-1 bytes"}},
		"deep":          {raw: "[" + strings.Repeat("[", 20000), is: oci.ErrCorrupt},
		"empty index":   {raw: `{"schemaVersion":2,"manifests":[]}`, kind: v1.MediaTypeImageIndex, is: oci.ErrPlatform, text: []string{"no image at all"}},
	} {
		t.Run(name, func(t *testing.T) {
			reg, host := start(t)
			if tc.kind == "" {
				tc.kind = v1.MediaTypeImageManifest
			}
			if _, err := reg.PushManifest("team/app", "1", tc.kind, []byte(tc.raw)); err != nil {
				t.Fatal(err)
			}
			reg.Break(tc.f)
			s, _ := open(t, host+"/team/app:1", Options{})
			_, err := s.Resolve(t.Context(), amd64)
			wantText(t, err, append(tc.text, host+"/team/app:1: ")...)
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
		})
	}
}

func TestResolveAnotherManifestThanAsked(t *testing.T) {
	reg, host := start(t)
	d := pushed(t, reg, "1", 10)
	other := digest.FromString("other")
	if _, err := reg.PushManifest("team/app", string(other), d.MediaType, []byte(`{"schemaVersion":2}`)); err != nil {
		t.Fatal(err)
	}
	s, _ := open(t, host+"/team/app@"+string(other), Options{})
	_, err := s.Resolve(t.Context(), amd64)
	wantText(t, err, "another manifest than the one asked for")
	if !errors.Is(err, oci.ErrCorrupt) {
		t.Error(err)
	}
}

func TestRetries(t *testing.T) {
	for name, tc := range map[string]struct {
		f        badregistry.Fault
		ok       bool
		requests int
		longest  time.Duration // at least
		text     string
	}{
		"500 twice":             {f: bad{Status: 500, Times: 2}, ok: true, requests: 3},
		"429 with Retry-After":  {f: bad{Status: 429, RetryAfter: "7", Times: 1}, ok: true, requests: 2, longest: 7 * time.Second},
		"503 with a date":       {f: bad{Status: 503, RetryAfter: time.Now().Add(time.Minute).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), Times: 1}, ok: true, requests: 2, longest: 50 * time.Second},
		"429 for an hour":       {f: bad{Status: 429, RetryAfter: "3600"}, requests: 1, text: "asks to come back in 1h0m0s"},
		"429 always":            {f: bad{Status: 429}, requests: 6, text: "limits the number of pulls"},
		"502 always":            {f: bad{Status: 502}, requests: 6, text: "tried 6 times"},
		"cut twice":             {f: bad{Cut: true, Times: 2}, ok: true, requests: 3},
		"404 is not":            {f: bad{Status: 404}, requests: 1, text: `no tag "1"`},
		"403 is not":            {f: bad{Status: 403}, requests: 1, text: "pull access denied"},
		"401 is not":            {f: bad{Status: 401}, requests: 1, text: "pull access denied"},
		"418 is not":            {f: bad{Status: 418}, requests: 1, text: "teapot"},
		"a redirect in circles": {f: bad{Status: 307, Header: map[string][]string{"Location": {"/v2/team/app/manifests/1"}}}, requests: 10, text: "more than 10 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			reg, host := start(t)
			pushed(t, reg, "1", 10)
			reg.Break(tc.f)
			s, p := open(t, host+"/team/app:1", Options{})
			_, err := s.Resolve(t.Context(), amd64)
			if (err == nil) != tc.ok {
				t.Fatal(err)
			}
			if err != nil {
				wantText(t, err, tc.text)
			}
			if n := reg.Count(""); n != tc.requests {
				t.Errorf("%d requests, want %d", n, tc.requests)
			}
			var longest time.Duration
			for _, d := range p.all {
				longest = max(longest, d)
			}
			if longest < tc.longest {
				t.Errorf("waited %v, want %v", longest, tc.longest)
			}
		})
	}
}

func TestPausesGrow(t *testing.T) {
	reg, host := start(t)
	reg.Break(bad{Status: 500})
	s, p := open(t, host+"/team/app:1", Options{Retries: 9})
	if _, err := s.Resolve(t.Context(), amd64); err == nil {
		t.Fatal("no error")
	}
	for i, d := range p.all {
		most := min(firstDelay<<i, maxDelay)
		if d < most/2 || d > most {
			t.Errorf("pause %d is %v, want between %v and %v", i, d, most/2, most)
		}
	}
	if len(p.all) != 9 {
		t.Errorf("%d pauses", len(p.all))
	}
}

func TestNoRetries(t *testing.T) {
	reg, host := start(t)
	reg.Break(bad{Status: 500})
	s, _ := open(t, host+"/team/app:1", Options{Retries: -1})
	_, err := s.Resolve(t.Context(), amd64)
	wantText(t, err, "500")
	if n := reg.Count(""); n != 1 {
		t.Errorf("%d requests", n)
	}
}
