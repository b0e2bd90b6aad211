package unpack

import (
	"archive/tar"
	"bytes"
	"io"
)

const (
	copySize = 128 << 10
	holeSize = 4 << 10 // the smallest run of zeros that becomes a hole
)

// content is the data of one file. umoci copies it with io.CopyBuffer, which finds
// WriteTo: one buffer for all files instead of two for each, and zeros become holes, so
// that a layer that claims 100 GB of nothing takes no disk.
type content struct {
	tar *tar.Reader
	buf []byte
	err error // of the stream; umoci's own message is about the file
}

func (c *content) Read(p []byte) (int, error) {
	n, err := c.tar.Read(p)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// WriteTo copies the rest of the entry to a file.
func (c *content) WriteTo(w io.Writer) (int64, error) {
	if file, ok := w.(sparseWriter); ok {
		return c.copyTo(file)
	}
	return io.Copy(w, struct{ io.Reader }{c})
}

// sparseWriter is a file that can have holes.
type sparseWriter interface {
	io.WriteSeeker
	Truncate(size int64) error
}

func (c *content) copyTo(file sparseWriter) (written int64, err error) {
	hole := false // the file ends in a hole that nothing was written after
	for {
		n, rerr := fill(c, c.buf)
		for b := c.buf[:n]; len(b) > 0; {
			size, zero := run(b)
			if zero {
				_, err = file.Seek(int64(size), io.SeekCurrent)
			} else {
				_, err = file.Write(b[:size])
			}
			if err != nil {
				return written, err
			}
			written += int64(size)
			hole = zero
			b = b[size:]
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return written, rerr
		}
	}
	if hole {
		return written, file.Truncate(written)
	}
	return written, nil
}

// run is the length of the blocks at the beginning of b that are all zero, or all not.
func run(b []byte) (n int, zero bool) {
	zero = isZero(b)
	for n < len(b) && isZero(b[n:]) == zero {
		n += min(holeSize, len(b)-n)
	}
	return n, zero
}

// zeros is what bytes.Equal compares with, at memory speed.
var zeros [holeSize]byte

// isZero tells whether the first block of b is a hole: whole, and all zeros.
func isZero(b []byte) bool {
	return len(b) >= holeSize && b[0] == 0 && bytes.Equal(b[:holeSize], zeros[:])
}
