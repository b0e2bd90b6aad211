package harness

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry is a registry on a loopback port that everybody may push to.
type Registry struct {
	Host string // "localhost:PORT"
	Real bool   // Debian's docker-registry; otherwise go-containerregistry's, in this process
	stop func()
}

var shared struct {
	sync.Mutex
	reg    *Registry
	pushed map[string]bool
}

// Shared is the registry of this test process, started by its first user.
func Shared() (*Registry, error) {
	dir, err := Scratch()
	if err != nil {
		return nil, err
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.reg != nil {
		return shared.reg, nil
	}
	reg, err := StartRegistry(filepath.Join(dir, "registry"))
	if err != nil {
		return nil, err
	}
	atEnd(reg.Stop)
	shared.reg, shared.pushed = reg, map[string]bool{}
	return reg, nil
}

// StartRegistry starts Debian's docker-registry with its blobs in dir. Where
// that program is not installed the registry of go-containerregistry serves in
// its place, except where the machine was set up to have it.
func StartRegistry(dir string) (*Registry, error) {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		if Required() {
			return nil, fmt.Errorf("docker-registry is missing; `make test-set-up` installs it as root")
		}
		srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
		return &Registry{Host: loopback(srv.Listener.Addr()), stop: srv.Close}, nil
	}
	var last error
	for range 5 { // the port may be taken between our look and its bind
		if reg, err := startDebian(program, dir); err == nil {
			return reg, nil
		} else {
			last = err
		}
	}
	return nil, last
}

func startDebian(program, dir string) (*Registry, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()

	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: %q}
  delete: {enabled: true}
http: {addr: %q, secret: loopback}
`, filepath.Join(dir, "data"), addr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	logfile, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer logfile.Close()

	cmd := exec.Command(program, "serve", config)
	cmd.Stdout, cmd.Stderr = logfile, logfile
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	// It dies with us also when the tests panic. The signal comes when the
	// *thread* that started it ends, so that thread stays until Stop.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, quit, gone := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		go func() { cmd.Wait(); close(gone) }()
		select {
		case <-quit:
			cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-gone:
			case <-time.After(3 * time.Second):
				cmd.Process.Kill()
				<-gone
			}
		case <-gone:
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	stop := sync.OnceFunc(func() { close(quit); <-gone })
	for deadline := time.Now().Add(10 * time.Second); ; {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case <-gone:
			said, _ := os.ReadFile(logfile.Name())
			return nil, fmt.Errorf("docker-registry ended at once: %s", said)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			stop()
			said, _ := os.ReadFile(logfile.Name())
			return nil, fmt.Errorf("docker-registry does not answer on %s: %s", addr, said)
		}
	}
	_, port, _ := net.SplitHostPort(addr)
	return &Registry{Host: "localhost:" + port, Real: true, stop: stop}, nil
}

// Stop ends the registry. Its directory stays.
func (r *Registry) Stop() { r.stop() }

// loopback spells an address as people do, "localhost:PORT".
func loopback(a net.Addr) string {
	s := a.String()
	return "localhost" + s[strings.LastIndexByte(s, ':'):]
}
