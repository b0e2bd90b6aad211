package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"rl/oci"
	"rl/oci/registry/badregistry"
)

type bad = badregistry.Fault

func TestBlobHeals(t *testing.T) {
	const size = 10_000
	for name, tc := range map[string]struct {
		faults []bad
		ranges []string // of the requests, in order
	}{
		"whole":             {nil, []string{""}},
		"slow trickle":      {[]bad{{Pause: time.Millisecond, Chunk: 500}}, []string{""}},
		"no Content-Length": {[]bad{{Chunked: true}}, []string{""}},
		"cut": {[]bad{{CutAfter: 4000, Times: 2}},
			[]string{"", "bytes=4000-9999", "bytes=8000-9999"}},
		"cut before the first byte": {[]bad{{Cut: true, Times: 2}}, []string{"", "", ""}},
		"cut, Range ignored": {[]bad{{CutAfter: 4000, Times: 1}, {IgnoreRange: true}},
			[]string{"", "bytes=4000-9999"}},
		"cut, Range ignored, cut while skipping": {
			[]bad{{CutAfter: 4000, Times: 1}, {IgnoreRange: true, CutAfter: 100, Times: 1}, {IgnoreRange: true}},
			[]string{"", "bytes=4000-9999", "bytes=4000-9999"}},
		"cut, Range refused": {[]bad{{CutAfter: 4000, Times: 1}, {RefuseRange: true}},
			[]string{"", "bytes=4000-9999", ""}},
		"cut, then failures": {[]bad{{CutAfter: 4000, Times: 1}, {Status: 503, Times: 2}, {Cut: true, Times: 2}},
			[]string{"", "bytes=4000-9999", "bytes=4000-9999", "bytes=4000-9999", "bytes=4000-9999", "bytes=4000-9999"}},
		"chunked and cut short cleanly": {[]bad{{Chunked: true, Truncate: 1000, Times: 1}},
			[]string{"", "bytes=9000-9999"}},
		"cut after the last byte": {[]bad{{Chunked: true, CutAfter: size}}, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			reg, host := start(t)
			d, want := blobOf(t, reg, size)
			for _, f := range tc.faults {
				reg.Break(f)
			}
			s, _ := open(t, host+"/team/app", Options{})
			got, err := read(s, d)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Error("other bytes")
			}
			var ranges []string
			for _, q := range reg.Requests() {
				ranges = append(ranges, q.Range)
			}
			if len(ranges) != len(tc.ranges) {
				t.Fatalf("ranges %q, want %q", ranges, tc.ranges)
			}
			for i := range ranges {
				if ranges[i] != tc.ranges[i] {
					t.Errorf("ranges %q, want %q", ranges, tc.ranges)
				}
			}
		})
	}
}

// The bound is on attempts without progress: a bad line gets there in the end.
func TestBlobProgressResetsTheCount(t *testing.T) {
	reg, host := start(t)
	d, want := blobOf(t, reg, 10_000)
	reg.Break(bad{CutAfter: 500})
	s, p := open(t, host+"/team/app", Options{Retries: 1})
	got, err := read(s, d)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatal(err)
	}
	if len(p.all) < 19 {
		t.Errorf("%d pauses", len(p.all))
	}
}

func TestBlobGivesUp(t *testing.T) {
	const size = 10_000
	for name, tc := range map[string]struct {
		faults []bad
		is     error
		text   []string
		most   int // requests
	}{
		"no progress":            {[]bad{{CutAfter: 4000, Times: 1}, {Cut: true}}, nil, []string{"after 4000 of 10000 bytes", "tried 3 times"}, 4},
		"always 500":             {[]bad{{Status: 500}}, nil, []string{"500 Internal Server Error", "tried 3 times"}, 3},
		"missing":                {[]bad{{Status: 404}}, oci.ErrNotFound, []string{"lacks the blob"}, 1},
		"denied":                 {[]bad{{Status: 403}}, oci.ErrUnauthorized, []string{"pull access denied"}, 1},
		"wrong Content-Range":    {[]bad{{CutAfter: 4000, Times: 1}, {ContentRange: "bytes 3999-9999/10000"}}, oci.ErrCorrupt, []string{"from byte 4000", "bytes 3999-9999/10000"}, 2},
		"wrong total":            {[]bad{{CutAfter: 4000, Times: 1}, {ContentRange: "bytes 4000-9999/10001"}}, oci.ErrCorrupt, nil, 2},
		"senseless range":        {[]bad{{CutAfter: 4000, Times: 1}, {ContentRange: "\x01nonsense"}}, nil, nil, 99},
		"Content-Length more":    {[]bad{{Length: 1}}, oci.ErrCorrupt, []string{"announces 10001 bytes", "the manifest 10000"}, 1},
		"Content-Length less":    {[]bad{{Truncate: 1}}, oci.ErrCorrupt, []string{"announces 9999 bytes"}, 1},
		"always cut short":       {[]bad{{Chunked: true, Truncate: 1000}, {}}, nil, []string{"after 9000 of 10000"}, 99},
		"a 206 nobody asked for": {[]bad{{Status: 206}}, oci.ErrCorrupt, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			reg, host := start(t)
			d, _ := blobOf(t, reg, size)
			for _, f := range tc.faults {
				reg.Break(f)
			}
			s, _ := open(t, host+"/team/app", Options{Retries: 2})
			_, err := read(s, d)
			wantText(t, err, tc.text...)
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
			if n := reg.Count(""); n > tc.most {
				t.Errorf("%d requests, want at most %d", n, tc.most)
			}
		})
	}
}

// The store sees that a blob is too long; nobody sees how much too long.
func TestBlobNeverMoreThanOneByteTooMany(t *testing.T) {
	reg, host := start(t)
	d, want := blobOf(t, reg, 10_000)
	reg.Break(bad{Chunked: true, Extra: 5000})
	s, _ := open(t, host+"/team/app", Options{})
	got, err := read(s, d)
	if err != nil || len(got) != len(want)+1 || !bytes.Equal(got[:len(want)], want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestBlobWrongBytesPass(t *testing.T) {
	reg, host := start(t)
	d, want := blobOf(t, reg, 1000)
	reg.Break(bad{Wrong: true})
	s, _ := open(t, host+"/team/app", Options{})
	got, err := read(s, d)
	if err != nil || len(got) != 1000 || bytes.Equal(got, want) {
		t.Fatalf("badregistry did not serve wrong bytes: %v", err)
	}
}

func TestBlobCancelledAtOnce(t *testing.T) {
	reg, host := start(t)
	d, _ := blobOf(t, reg, 100_000)
	reg.Break(bad{Pause: time.Hour, Chunk: 1})
	s, _ := open(t, host+"/team/app", Options{})
	ctx, cancel := context.WithCancel(context.Background())
	r, err := s.Blob(ctx, d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	time.AfterFunc(20*time.Millisecond, cancel)
	_, err = io.ReadAll(r)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if n := reg.Count(""); n != 1 {
		t.Errorf("%d requests after cancellation", n)
	}
}

func TestPauseEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		began := time.Now()
		if err := sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) || time.Since(began) > time.Second {
			t.Fatal(err, time.Since(began))
		}
	})
}

// A connection which says nothing is cut by us, and the rest is asked for.
func TestBlobSilentConnection(t *testing.T) {
	reg, host := start(t)
	d, want := blobOf(t, reg, 10_000)
	reg.Break(bad{Hang: true, Times: 1})
	reg.Break(bad{Pause: time.Second, Chunk: 9000, Times: 1})
	s, p := open(t, host+"/team/app", Options{})
	s.client.stall = 50 * time.Millisecond
	got, err := read(s, d)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatal(err)
	}
	if len(p.all) != 2 {
		t.Errorf("%d pauses, want 2", len(p.all))
	}
}

func TestBlobForeignUrlsAreNotFollowed(t *testing.T) {
	reg, host := start(t)
	d, _ := blobOf(t, reg, 10)
	other, elsewhere := start(t)
	reg.Break(bad{Status: 404})
	d.MediaType, d.URLs = oci.DockerForeignLayer, []string{"http://" + elsewhere + "/layer"}
	s, _ := open(t, host+"/team/app", Options{})
	_, err := read(s, d)
	wantText(t, err, "foreign layer", "not followed")
	if other.Count("") != 0 {
		t.Error("its url was followed")
	}
}

func TestBlobEmbeddedInTheManifest(t *testing.T) {
	reg, host := start(t)
	d, want := blobOf(t, reg, 10)
	d.Data = want
	s, _ := open(t, host+"/team/app", Options{})
	got, err := read(s, d)
	if err != nil || !bytes.Equal(got, want) || reg.Count("") != 0 {
		t.Fatal(err, reg.Count(""))
	}
}

func TestBlobRefusesSenselessDescriptors(t *testing.T) {
	reg, host := start(t)
	s, _ := open(t, host+"/team/app", Options{})
	good, _ := blobOf(t, reg, 10)
	negative := good
	negative.Size = -1
	for _, d := range []v1.Descriptor{{}, {Digest: "sha256:../../../etc/shadow"}, {Digest: "md5:abc"}, negative} {
		if _, err := s.Blob(t.Context(), d); !errors.Is(err, oci.ErrCorrupt) {
			t.Errorf("%v: %v", d, err)
		}
	}
	if reg.Count("") != 0 {
		t.Error("it asked the registry")
	}
}

func TestBlobClosedTwiceAndReadAfter(t *testing.T) {
	reg, host := start(t)
	d, _ := blobOf(t, reg, 10)
	s, _ := open(t, host+"/team/app", Options{})
	r, err := s.Blob(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := r.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("a closed blob reads: %v", err)
	}
}

func TestBlobHealsOverHTTP2(t *testing.T) {
	reg := badregistry.New()
	server := tlsServer(reg)
	defer server.Close()
	d, want := blobOf(t, reg, 10_000)
	reg.Break(bad{Cut: true, Times: 1})
	reg.Break(bad{CutAfter: 4000, Times: 1})
	h2 := dialsTo(server)
	h2.ForceAttemptHTTP2 = true
	s, p := open(t, "registry.example/team/app", Options{Transport: h2})
	got, err := read(s, d)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatal(err)
	}
	if len(p.all) != 2 {
		t.Errorf("%d pauses", len(p.all))
	}
}
