package registry

import (
	"strings"
	"testing"

	"rl/oci/ref"
	"rl/oci/registry/badregistry"
)

// Loopback is never asked through the proxy that TestMain set; other names are.
func TestProxy(t *testing.T) {
	reg, host := start(t)
	d := pushed(t, reg, "1", 10)
	throughProxy.Lock()
	throughProxy.urls, throughProxy.backend = nil, reg
	throughProxy.Unlock()
	direct, _ := open(t, host+"/team/app:1", Options{})
	if _, err := direct.Resolve(t.Context(), amd64); err != nil {
		t.Fatal(err)
	}
	if len(throughProxy.urls) != 0 {
		t.Errorf("loopback through the proxy: %q", throughProxy.urls)
	}
	s, _ := open(t, "registry.invalid:5000/team/app:1", Options{Insecure: []string{"registry.invalid:5000"}})
	got, err := s.Resolve(t.Context(), amd64)
	if err != nil || got.Descriptor.Digest != d.Digest {
		t.Fatal(err)
	}
	want := "CONNECT //registry.invalid:5000 GET http://registry.invalid:5000/v2/team/app/manifests/1"
	if got := strings.Join(throughProxy.urls, " "); got != want {
		t.Errorf("the proxy saw %s\nwant %s", got, want)
	}
}

// A registry that listens on loopback may speak https, with any certificate.
func TestLoopbackHttps(t *testing.T) {
	reg := badregistry.New()
	server := tlsServer(reg)
	defer server.Close()
	pushed(t, reg, "1", 10)
	s, _ := open(t, server.Listener.Addr().String()+"/team/app:1", Options{})
	if _, err := s.Resolve(t.Context(), amd64); err != nil {
		t.Fatal(err)
	}
	// a failure later on must not lead to the other scheme
	if got := s.client.schemes; len(got) != 1 || got[0] != "https" {
		t.Errorf("schemes %q are left", got)
	}
}

func TestInsecure(t *testing.T) {
	for _, tc := range []struct {
		image string
		list  []string
		want  bool
	}{
		{"registry.example/x", nil, false},
		{"registry.example/x", []string{"registry.example"}, true},
		{"registry.example:5000/x", []string{"REGISTRY.example"}, true},
		{"registry.example:5000/x", []string{"registry.example:5001"}, false},
		{"registry.example/x", []string{"*"}, true},
		{"10.1.2.3:5000/x", []string{"10.0.0.0/8"}, true},
		{"11.1.2.3:5000/x", []string{"10.0.0.0/8"}, false},
		{"[fd00::1]:5000/x", []string{"fd00::/8"}, true},
	} {
		r, err := ref.Parse(tc.image)
		if err != nil {
			t.Fatal(err)
		}
		if got := isInsecure(r, tc.list); got != tc.want {
			t.Errorf("%s %q: %v", tc.image, tc.list, got)
		}
	}
}
