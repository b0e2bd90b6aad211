// Package badregistry is a registry that fails on purpose, for tests: of the
// source that pulls, and of the whole program.
//
//	reg := badregistry.New()
//	host, err := reg.Listen()                     // "127.0.0.1:37001"; reg.Close() ends it
//	reg.PushImage("app", "1", config, layer)      // or push with skopeo, podman, crane
//	reg.Break(badregistry.Fault{On: "/blobs/", CutAfter: 1000, Times: 3})
//	…pull host+"/app:1"…
//	reg.Count("/blobs/")                          // how many requests there were
//
// The registry itself is go-containerregistry's, kept in memory. This package
// stands before it: it counts every request, asks for credentials, and does to
// a request what the first Fault that fits says.
package badregistry

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry is an http.Handler. Make one with New; its fields may be set until
// the first request.
type Registry struct {
	// User and Password, when set, are required: by a Basic challenge, or, with
	// Bearer, by a token service at /token of the registry itself.
	User, Password string
	// Bearer makes the registry ask for tokens, from everybody; those without
	// credentials get one too, unless User is set.
	Bearer bool
	// Realm replaces the address of the token service in the challenge.
	Realm string
	// TokenUses is how often a token is good. 0: for ever.
	TokenUses int

	inner  http.Handler
	server *http.Server

	mu       sync.Mutex
	requests []Request
	faults   []*Fault
	tokens   map[string]int // token → uses so far
}

// Request is one request that arrived.
type Request struct {
	Method, Path  string
	Range         string
	Authorization string
	UserAgent     string
	Status        int // of the answer; 0 when it was cut before one
}

// New makes an empty registry without faults. It is not listening yet: it can
// also be given to httptest.NewServer or NewTLSServer.
func New() *Registry {
	return &Registry{
		inner:  registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		tokens: map[string]int{},
	}
}

// Listen serves on a free loopback port and returns its address, which is also
// the domain for references.
func (r *Registry) Listen() (host string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = r.server.Serve(l) }()
	return l.Addr().String(), nil
}

// Close ends what Listen began, and all connections.
func (r *Registry) Close() error {
	if r.server == nil {
		return nil
	}
	return r.server.Close()
}

// Requests are all that arrived since New or Forget, in order.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Request(nil), r.requests...)
}

// Count is how many requests had part in their path; "" counts all.
func (r *Registry) Count(part string) int {
	n := 0
	for _, q := range r.Requests() {
		if strings.Contains(q.Path, part) {
			n++
		}
	}
	return n
}

// Forget starts the counting anew.
func (r *Registry) Forget() {
	r.mu.Lock()
	r.requests = nil
	r.mu.Unlock()
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	seen := &recorder{ResponseWriter: w}
	at := r.note(req)
	defer func() {
		cut := recover()
		r.mu.Lock()
		if at < len(r.requests) {
			r.requests[at].Status = seen.status
		}
		r.mu.Unlock()
		if cut != nil {
			panic(cut) // http.ErrAbortHandler: cut the connection
		}
	}()
	switch {
	case req.URL.Path == "/token":
		r.serveToken(seen, req)
	case !r.authorized(req):
		r.challenge(seen, req)
	default:
		r.serve(seen, req)
	}
}

// serve answers as the registry, or as a fault wants it.
func (r *Registry) serve(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		r.inner.ServeHTTP(w, req)
		return
	}
	fault := r.fault(req)
	if fault != nil && fault.refuse(w, req) {
		return
	}
	// The whole answer first, without a range: that is served here.
	plain := req.Clone(req.Context())
	plain.Method = http.MethodGet
	plain.Header.Del("Range")
	whole := httptest.NewRecorder()
	r.inner.ServeHTTP(whole, plain)
	for k, v := range whole.Header() {
		w.Header()[k] = v
	}
	body := whole.Body.Bytes()
	switch {
	case fault != nil:
		fault.serve(w, req, whole.Code, body)
	case whole.Code == http.StatusOK && req.URL.Path != "/v2/":
		w.Header().Del("Content-Length")
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
	default:
		w.WriteHeader(whole.Code)
		_, _ = w.Write(body)
	}
}

func (r *Registry) note(req *http.Request) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, Request{
		Method: req.Method, Path: req.URL.Path, Range: req.Header.Get("Range"),
		Authorization: req.Header.Get("Authorization"), UserAgent: req.UserAgent(),
	})
	return len(r.requests) - 1
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(code int) {
	r.status = code
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap gives http.ResponseController the flusher.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// errPush is what a push that the registry refused returns.
var errPush = errors.New("push refused")
