package unpack

import (
	"io"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

const (
	chunkSize = 256 << 10
	chunks    = 24 // 6 MiB in flight: gunzip goes on while small files are created
)

// chunk is a piece of the tar stream, read by the hash and by the extractor.
type chunk struct {
	buf  [chunkSize]byte
	n    int
	refs atomic.Int32
}

// pipeline reads ahead: one goroutine decompresses into chunks, one hashes them, and
// the owner of the pipeline reads them as an io.Reader.
//
//	free ─▶ produce ─┬─▶ hashing ─▶ hash ─┐
//	  ▲              └─▶ ready ──▶ Read ──┤ (last one gives the chunk back)
//	  └───────────────────────────────────┘
type pipeline struct {
	src            *decoder
	free           chan *chunk
	hashing, ready chan *chunk
	quit           chan struct{} // closed by stop
	produced       chan struct{} // closed when src is not read any more
	hashed         chan struct{} // closed when sum is valid

	err error         // why src ended, nil for its end; valid when ready is closed
	n   int64         // bytes produced; likewise
	sum digest.Digest // valid when hashed is closed

	cur    *chunk // being read
	rest   []byte // of cur
	failed bool   // Read has returned err
}

func startPipeline(src *decoder, algorithm digest.Algorithm) *pipeline {
	p := &pipeline{
		src:      src,
		free:     make(chan *chunk, chunks),
		hashing:  make(chan *chunk, chunks),
		ready:    make(chan *chunk, chunks),
		quit:     make(chan struct{}),
		produced: make(chan struct{}),
		hashed:   make(chan struct{}),
	}
	for range chunks {
		p.free <- nil // allocated when first used: small layers need one
	}
	go p.produce()
	go p.hash(algorithm)
	return p
}

func (p *pipeline) produce() {
	defer close(p.produced)
	defer close(p.ready)
	defer close(p.hashing)
	for {
		var c *chunk
		select {
		case <-p.quit:
			return
		case c = <-p.free:
		}
		if c == nil {
			c = new(chunk)
		}
		var err error
		c.n, err = fill(p.src, c.buf[:])
		if c.n > 0 {
			p.n += int64(c.n)
			c.refs.Store(2)
			// The channels have room for every chunk there is.
			p.hashing <- c
			p.ready <- c
		}
		if err != nil {
			p.err = p.src.explain(err)
			return
		}
	}
}

// fill reads until the buffer is full. Unlike io.ReadFull it returns the reader's own
// error, so that a decoder's "unexpected end" is not mistaken for a short last chunk.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

func (p *pipeline) hash(algorithm digest.Algorithm) {
	defer close(p.hashed)
	h := algorithm.Hash()
	for c := range p.hashing {
		h.Write(c.buf[:c.n])
		p.release(c)
	}
	p.sum = digest.NewDigest(algorithm, h)
}

func (p *pipeline) release(c *chunk) {
	if c.refs.Add(-1) == 0 {
		p.free <- c
	}
}

// Read gives the tar stream.
func (p *pipeline) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.cur != nil {
			p.release(p.cur)
			p.cur = nil
		}
		c, ok := <-p.ready
		if !ok {
			if p.err != nil {
				p.failed = true
				return 0, p.err
			}
			return 0, io.EOF
		}
		p.cur, p.rest = c, c.buf[:c.n]
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// drain reads what follows the end of the archive, for it counts for the digest, and
// returns the digest and length of the whole stream.
func (p *pipeline) drain() (digest.Digest, int64, error) {
	p.rest = nil
	for {
		if p.cur != nil {
			p.release(p.cur)
		}
		c, ok := <-p.ready
		if !ok {
			break
		}
		p.cur = c
	}
	p.cur = nil
	<-p.hashed
	return p.sum, p.n, p.err
}

// stop ends the goroutines and closes the decoder. It waits until nobody reads the
// source any more.
func (p *pipeline) stop() {
	close(p.quit)
	<-p.produced
	<-p.hashed
	p.src.Close()
}
