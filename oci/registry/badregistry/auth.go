package badregistry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// authorized: does a request carry what the registry wants?
func (r *Registry) authorized(req *http.Request) bool {
	switch {
	case r.Bearer:
		token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		r.mu.Lock()
		defer r.mu.Unlock()
		uses, known := r.tokens[token]
		if !ok || !known || r.TokenUses > 0 && uses >= r.TokenUses {
			return false
		}
		r.tokens[token]++
		return true
	case r.User != "":
		return r.knows(req)
	}
	return true
}

func (r *Registry) knows(req *http.Request) bool {
	user, password, ok := req.BasicAuth()
	return ok && user == r.User && password == r.Password
}

// challenge answers 401 and says how to do better.
func (r *Registry) challenge(w http.ResponseWriter, req *http.Request) {
	how := `Basic realm="bad registry"`
	if r.Bearer {
		realm := r.Realm
		if realm == "" {
			scheme := "http"
			if req.TLS != nil {
				scheme = "https"
			}
			realm = scheme + "://" + req.Host + "/token"
		}
		repo := strings.TrimPrefix(req.URL.Path, "/v2/")
		for _, part := range [...]string{"/manifests/", "/blobs/"} {
			repo, _, _ = strings.Cut(repo, part)
		}
		how = fmt.Sprintf(`Bearer realm="%s",service="bad",scope="repository:%s:pull"`, realm, repo)
	}
	w.Header().Set("Www-Authenticate", how)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`))
}

// RefreshToken is the identity token the token service takes by POST.
const RefreshToken = "refresh-me"

// serveToken is the token service.
func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) {
	identified := req.Method == http.MethodPost && req.PostFormValue("refresh_token") == RefreshToken
	if r.User != "" && !r.knows(req) && !identified {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"details":"incorrect username or password"}`))
		return
	}
	r.mu.Lock()
	token := fmt.Sprintf("token-%d", len(r.tokens)+1)
	r.tokens[token] = 0
	r.mu.Unlock()
	_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
}
