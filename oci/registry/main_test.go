package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci/ref"
	"rl/oci/registry/badregistry"
)

var amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}

// throughProxy is what the proxy of the environment was asked for. Every test
// runs with that proxy set: one that wrongly uses it for loopback fails.
var throughProxy = struct {
	sync.Mutex
	urls    []string
	backend http.Handler
}{}

func TestMain(m *testing.M) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		throughProxy.Lock()
		throughProxy.urls = append(throughProxy.urls, req.Method+" "+req.URL.String())
		backend := throughProxy.backend
		throughProxy.Unlock()
		if req.Method == http.MethodConnect || backend == nil {
			// not TLS: "there is no https behind this"
			http.Error(w, "no", http.StatusOK)
			return
		}
		backend.ServeHTTP(w, req)
	}))
	defer proxy.Close()
	home, err := os.MkdirTemp("", "home")
	if err != nil {
		panic(err)
	}
	for k, v := range map[string]string{
		"HTTP_PROXY": proxy.URL, "HTTPS_PROXY": proxy.URL, "http_proxy": "", "https_proxy": "", "NO_PROXY": "", "no_proxy": "",
		"HOME": home, "DOCKER_CONFIG": "", "DOCKER_AUTH_CONFIG": "", "REGISTRY_AUTH_FILE": "", "XDG_RUNTIME_DIR": "", "XDG_CONFIG_HOME": "",
	} {
		os.Setenv(k, v)
	}
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}

// start listens with an empty registry.
func start(t *testing.T, prepare ...func(*badregistry.Registry)) (*badregistry.Registry, string) {
	t.Helper()
	reg := badregistry.New()
	for _, p := range prepare {
		p(reg)
	}
	host, err := reg.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	return reg, host
}

// pauses are the waits between attempts, which tests do not sit through.
type pauses struct {
	sync.Mutex
	all []time.Duration
}

// source opens name with instant retries.
func open(t *testing.T, name string, o Options) (*source, *pauses) {
	t.Helper()
	r, err := ref.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	s := Open(r, o).(*source)
	t.Cleanup(func() { s.Close() })
	p := &pauses{}
	s.client.sleep = func(ctx context.Context, d time.Duration) error {
		p.Lock()
		p.all = append(p.all, d)
		p.Unlock()
		return ctx.Err()
	}
	return s, p
}

// pushed puts an image with one layer of n bytes into a registry.
func pushed(t *testing.T, reg *badregistry.Registry, tag string, n int) v1.Descriptor {
	t.Helper()
	config := v1.Image{Platform: amd64}
	d, err := reg.PushImage("team/app", tag, config, noise(n))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// blobOf stores n bytes and returns them.
func blobOf(t *testing.T, reg *badregistry.Registry, n int) (v1.Descriptor, []byte) {
	t.Helper()
	raw := noise(n)
	d, err := reg.PushBlob("team/app", v1.MediaTypeImageLayerGzip, raw)
	if err != nil {
		t.Fatal(err)
	}
	return d, raw
}

// noise does not compress and does not repeat: a byte out of place shows.
func noise(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		sum := sha256.Sum256([]byte(fmt.Sprint(i)))
		b.Write(sum[:])
	}
	return b.Bytes()[:n]
}

// read gets a blob whole.
func read(s *source, d v1.Descriptor) ([]byte, error) {
	r, err := s.Blob(context.Background(), d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantText(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", parts)
	}
	if strings.ContainsAny(err.Error(), "\n\r\x1b") {
		t.Errorf("the error is more than one plain line: %q", err)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q lacks %q", err, p)
		}
	}
}

// tlsServer speaks https, and HTTP/2 to those who want it.
func tlsServer(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	return s
}
