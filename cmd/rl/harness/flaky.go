package harness

import (
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// Flaky stands before a registry, counts what is asked and fails on purpose:
//
//	cut=N       the first N answers with a blob break off in the middle
//	norange     Range is ignored: always the whole blob
//	429=N 500=N the first N requests for blobs or manifests get this status
//	500         … every one
//	flip        one bit of every blob is wrong
//	short       blobs end early, and say so in Content-Length
//	manifest    manifests are not what their digest says
//	basic=U:P   wants this user by basic authentication
//	token=U:P   wants a bearer token, which this user gets from /token
type Flaky struct {
	Host string
	srv  *httptest.Server

	mu    sync.Mutex
	left  map[string]int // what is still to fail; -1 for ever
	cred  string
	token bool
	asked []string // "GET /v2/…", in order
}

// NewFlaky starts a failing registry before the registry at host.
func NewFlaky(host string, modes []string) (*Flaky, error) {
	f := &Flaky{left: map[string]int{}}
	for _, m := range modes {
		k, v, counted := strings.Cut(m, "=")
		switch k {
		case "basic", "token":
			f.cred, f.token = v, k == "token"
		case "cut", "norange", "429", "500", "503", "flip", "short", "manifest":
			f.left[k] = -1
			if counted {
				n, err := strconv.Atoi(v)
				if err != nil {
					return nil, err
				}
				f.left[k] = n
			}
		default:
			return nil, fmt.Errorf("unknown way to fail %q", m)
		}
	}
	target := &url.URL{Scheme: "http", Host: host}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ModifyResponse = f.spoil
	proxy.FlushInterval = -1
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	f.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.Method+" "+r.URL.Path)
		f.mu.Unlock()
		if !f.admits(w, r) {
			return
		}
		if strings.Contains(r.URL.Path, "/blobs/") || strings.Contains(r.URL.Path, "/manifests/") {
			for _, code := range []int{429, 500, 503} {
				if f.take(strconv.Itoa(code)) {
					if code == 429 {
						w.Header().Set("Retry-After", "0")
					}
					w.WriteHeader(code)
					return
				}
			}
		}
		if _, on := f.left["norange"]; on {
			r.Header.Del("Range")
		}
		r.Header.Set("Accept-Encoding", "identity")
		r.Host = host
		proxy.ServeHTTP(w, r) // a body that is cut aborts the answer
	}))
	f.Host = loopback(f.srv.Listener.Addr())
	return f, nil
}

// take uses up one failure of a kind.
func (f *Flaky) take(kind string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, on := f.left[kind]
	if !on || n == 0 {
		return false
	}
	if n > 0 {
		f.left[kind] = n - 1
	}
	return true
}

func (f *Flaky) admits(w http.ResponseWriter, r *http.Request) bool {
	if f.cred == "" {
		return true
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(f.cred))
	given := r.Header.Get("Authorization")
	if !f.token {
		if given == basic {
			return true
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="flaky"`)
		w.WriteHeader(http.StatusUnauthorized)
		return false
	}
	if r.URL.Path == "/token" {
		if given == basic {
			fmt.Fprint(w, `{"token":"let-me-in"}`)
		} else {
			w.WriteHeader(http.StatusUnauthorized)
		}
		return false
	}
	if given == "Bearer let-me-in" {
		r.Header.Del("Authorization")
		return true
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="flaky"`, r.Host))
	w.WriteHeader(http.StatusUnauthorized)
	return false
}

func (f *Flaky) spoil(resp *http.Response) error {
	p := resp.Request.URL.Path
	if resp.Request.Method != http.MethodGet || resp.StatusCode >= 300 {
		return nil
	}
	if strings.Contains(p, "/manifests/") && f.take("manifest") {
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		replace(resp, append([]byte(" "), raw...))
		return nil
	}
	if !strings.Contains(p, "/blobs/") {
		return nil
	}
	switch {
	case f.take("cut"):
		resp.Body = &cut{ReadCloser: resp.Body, left: max(resp.ContentLength/2, 1)}
	case f.take("flip"):
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		raw[len(raw)/2] ^= 1
		replace(resp, raw)
	case f.take("short"):
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		replace(resp, raw[:len(raw)/2])
	}
	return nil
}

func replace(resp *http.Response, raw []byte) {
	resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(raw)))
	resp.ContentLength = int64(len(raw))
	resp.Header.Set("Content-Length", strconv.Itoa(len(raw)))
}

// cut is a body that fails after some bytes, whatever its length said.
type cut struct {
	io.ReadCloser
	left int64
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// Asked lists what was asked since the last Forget.
func (f *Flaky) Asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

// Forget begins the list anew.
func (f *Flaky) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = nil
}

// Stop ends it.
func (f *Flaky) Stop() {
	f.srv.CloseClientConnections()
	f.srv.Close()
}
