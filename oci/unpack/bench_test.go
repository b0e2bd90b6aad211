package unpack

import (
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"
)

// BenchmarkBigLayer unpacks the gzip layer that RL_BENCH_LAYER names, in the real worker.
// It tells the seconds of gunzip alone for comparison, and the worker's memory.
//
//	tar -C / -cf - usr/share | gzip -6 > /tmp/layer.tgz
//	RL_BENCH_LAYER=/tmp/layer.tgz go test -run '^$' -bench BigLayer -benchtime 1x ./oci/unpack
func BenchmarkBigLayer(b *testing.B) {
	path := os.Getenv("RL_BENCH_LAYER")
	if path == "" {
		b.Skip("RL_BENCH_LAYER names no layer")
	}
	open := func() *os.File {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	f := open()
	start := time.Now()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	n, err := io.Copy(io.Discard, z)
	if err != nil {
		b.Fatal(err)
	}
	gunzip := time.Since(start)
	f = open()
	z, _ = gzip.NewReader(f)
	diffID, err := digest.FromReader(z)
	if err != nil {
		b.Fatal(err)
	}
	for _, id := range identities(b) {
		b.Run(id.name, func(b *testing.B) {
			for b.Loop() {
				j := newJail(b, id)
				start := time.Now()
				res, usage, err := j.measure(b, id, open(), Request{DiffID: diffID, Rootless: id.rootless})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(gunzip.Seconds(), "gunzip-s")
				b.ReportMetric(time.Since(start).Seconds(), "unpack-s")
				b.ReportMetric(float64(usage.Utime.Nano()+usage.Stime.Nano())/1e9, "cpu-s")
				b.ReportMetric(float64(usage.Maxrss)/1024, "rss-MB")
				fmt.Fprintln(os.Stderr, n>>20, "MB", res.Files, "files")
			}
		})
	}
}
