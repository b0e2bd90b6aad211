package badregistry

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// PushBlob stores a blob. No request is counted, no fault happens.
func (r *Registry) PushBlob(repo, mediaType string, raw []byte) (v1.Descriptor, error) {
	d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	path := fmt.Sprintf("/v2/%s/blobs/uploads/?digest=%s", repo, d.Digest)
	return d, r.push(http.MethodPost, path, "application/octet-stream", raw)
}

// PushManifest stores a manifest or an index under a tag, just as it is.
func (r *Registry) PushManifest(repo, tag, mediaType string, raw []byte) (v1.Descriptor, error) {
	d := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if tag == "" {
		tag = string(d.Digest)
	}
	return d, r.push(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, mediaType, raw)
}

// PushImage makes an OCI image of a config and layers (tar streams, which it
// compresses and whose diffIDs it fills in), and stores it. Without a tag it can
// be had by digest. The result is the manifest's descriptor, with the platform.
func (r *Registry) PushImage(repo, tag string, config v1.Image, layers ...[]byte) (v1.Descriptor, error) {
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest}
	config.RootFS = v1.RootFS{Type: "layers"}
	for _, tar := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(tar))
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		if _, err := z.Write(tar); err != nil {
			return v1.Descriptor{}, err
		}
		if err := z.Close(); err != nil {
			return v1.Descriptor{}, err
		}
		d, err := r.PushBlob(repo, v1.MediaTypeImageLayerGzip, zipped.Bytes())
		if err != nil {
			return v1.Descriptor{}, err
		}
		m.Layers = append(m.Layers, d)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return v1.Descriptor{}, err
	}
	if m.Config, err = r.PushBlob(repo, v1.MediaTypeImageConfig, raw); err != nil {
		return v1.Descriptor{}, err
	}
	if raw, err = json.Marshal(m); err != nil {
		return v1.Descriptor{}, err
	}
	d, err := r.PushManifest(repo, tag, v1.MediaTypeImageManifest, raw)
	platform := config.Platform
	d.Platform = &platform
	return d, err
}

// PushIndex stores an index of manifests that are there already.
func (r *Registry) PushIndex(repo, tag string, entries ...v1.Descriptor) (v1.Descriptor, error) {
	raw, err := json.Marshal(v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Manifests: entries,
	})
	if err != nil {
		return v1.Descriptor{}, err
	}
	return r.PushManifest(repo, tag, v1.MediaTypeImageIndex, raw)
}

func (r *Registry) push(method, path, mediaType string, raw []byte) error {
	req := httptest.NewRequest(method, path, bytes.NewReader(raw))
	req.Header.Set("Content-Type", mediaType)
	w := httptest.NewRecorder()
	r.inner.ServeHTTP(w, req)
	if w.Code != http.StatusCreated {
		return fmt.Errorf("%w: %s: %d %s", errPush, path, w.Code, w.Body)
	}
	return nil
}
