package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rl/oci/ref"
)

// maxAuthFile bounds a credentials file.
const maxAuthFile = 4 << 20

// credential is what proves to a registry who we are. The zero value is nobody.
type credential struct {
	user, secret string
	identity     string // a refresh token, for the token service
	token        string // a bearer token, for the registry itself
	from         string // the file or helper it is from; "" for nobody
	trouble      error  // why a place could not be asked; only told if the pull fails
}

func (c *credential) basic() string {
	if c.user == "" || c.secret == "" {
		return ""
	}
	return basicHeader(c.user, c.secret)
}

// authFile is docker's config.json and podman's auth.json.
type authFile struct {
	Auths map[string]struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	} `json:"auths"`
	Helpers map[string]string `json:"credHelpers"`
	Store   string            `json:"credsStore"`
}

// lookup finds the credentials for a repository. The places are, in order:
//
//	REGISTRY_AUTH_FILE                     podman's word for "this file"
//	DOCKER_AUTH_CONFIG                     JSON in the environment (docker 28, GitLab)
//	$DOCKER_CONFIG/config.json, else ~/.docker/config.json
//	$XDG_RUNTIME_DIR/containers/auth.json  where podman login writes
//	~/.config/containers/auth.json
//
// The first place that knows the registry decides. A place that is broken (a
// helper that is not installed is the common case) is passed over, so
// that public images can be had all the same, and remembered for the error text.
func lookup(ctx context.Context, domain, path string) credential {
	var trouble error
	for _, place := range places() {
		raw, err := place.read()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var file authFile
		if err == nil {
			err = json.Unmarshal(raw, &file)
		}
		var found credential
		if err == nil {
			found, err = file.find(ctx, domain, path)
		}
		if err != nil {
			trouble = errors.Join(trouble, fmt.Errorf("%s: %w", place.name, err))
			continue
		}
		if found != (credential{}) {
			found.from = place.name
			return found
		}
	}
	return credential{trouble: trouble}
}

type place struct {
	name string
	read func() ([]byte, error)
}

func places() []place {
	var all []place
	file := func(parts ...string) {
		if parts[0] == "" {
			return
		}
		name := filepath.Join(parts...)
		all = append(all, place{name, func() ([]byte, error) { return readAuthFile(name) }})
	}
	file(os.Getenv("REGISTRY_AUTH_FILE"))
	if s := os.Getenv("DOCKER_AUTH_CONFIG"); s != "" {
		all = append(all, place{"DOCKER_AUTH_CONFIG", func() ([]byte, error) { return []byte(s), nil }})
	}
	home := os.Getenv("HOME")
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		file(dir, "config.json")
	} else {
		file(home, ".docker", "config.json")
	}
	file(os.Getenv("XDG_RUNTIME_DIR"), "containers", "auth.json")
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		file(dir, "containers", "auth.json")
	} else {
		file(home, ".config", "containers", "auth.json")
	}
	return all
}

func readAuthFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxAuthFile))
	if err == nil && len(bytes.TrimSpace(raw)) == 0 {
		return nil, fs.ErrNotExist // docker reads an empty file as none
	}
	return raw, err
}

// find asks the helper for this registry, the helper for all, then the file.
func (f *authFile) find(ctx context.Context, domain, path string) (credential, error) {
	var trouble error
	for key, helper := range f.Helpers {
		if hostOfKey(key) == domain {
			c, err := askHelper(ctx, helper, key)
			if err != nil || c != (credential{}) {
				return c, err
			}
		}
	}
	if f.Store != "" {
		server := domain
		if domain == ref.DefaultDomain {
			server = hubKey
		}
		c, err := askHelper(ctx, f.Store, server)
		if c != (credential{}) {
			return c, nil
		}
		trouble = err
	}
	// podman: the longest matching namespace; docker: the registry
	for name := domain + "/" + path; ; {
		for key, entry := range f.Auths {
			if keyMatches(key, name, domain) {
				c := credential{user: entry.Username, secret: entry.Password,
					identity: entry.IdentityToken, token: entry.RegistryToken}
				if entry.Auth != "" {
					var err error
					if c.user, c.secret, err = decodeAuth(entry.Auth); err != nil {
						return credential{}, fmt.Errorf("the auth of %q: %w", key, err)
					}
				}
				if c != (credential{}) { // docker leaves empty entries when a helper has the secret
					return c, nil
				}
			}
		}
		cut := strings.LastIndexByte(name, '/')
		if cut < 0 {
			return credential{}, trouble
		}
		name = name[:cut]
	}
}

// hubKey is how docker writes docker.io, since 2014.
const hubKey = "https://index.docker.io/v1/"

// keyMatches compares a key of a file with a name or one of its parents.
func keyMatches(key, name, domain string) bool {
	if strings.EqualFold(key, name) {
		return true
	}
	return name == domain && hostOfKey(key) == domain && (strings.Contains(key, "://") || !strings.Contains(key, "/") || isVersioned(key))
}

// hostOfKey: "https://host/v1/" → "host", and docker.io by all its names.
func hostOfKey(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, _, _ := strings.Cut(key, "/")
	switch host = strings.ToLower(host); host {
	case "index.docker.io", hubHost:
		return ref.DefaultDomain
	}
	return host
}

func isVersioned(key string) bool {
	_, path, _ := strings.Cut(key, "/")
	return path == "" || strings.Trim(path, "/") == "v1" || strings.Trim(path, "/") == "v2"
}

func decodeAuth(s string) (user, secret string, err error) {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", "", errors.New("it is not base64")
	}
	user, secret, ok := strings.Cut(string(raw), ":")
	if !ok || user == "" {
		return "", "", errors.New("it is not user:password")
	}
	return user, strings.Trim(secret, "\x00"), nil
}
