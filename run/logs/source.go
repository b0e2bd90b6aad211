package logs

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
)

// source is a file of a log, open to be read.
type source struct {
	*os.File
	zipped bool
	id     []byte // see identity
	drop   int    // lines at its beginning that are not wanted; only of one that is compressed
}

// openSource opens the file that was the newest n rotations ago, compressed or not.
func openSource(path string, n int) (*source, error) {
	f, err := os.Open(rotated(path, n))
	s := &source{zipped: errors.Is(err, os.ErrNotExist) && n > 0}
	if s.zipped {
		f, err = os.Open(rotated(path, n) + suffix)
	}
	if err != nil {
		return nil, err
	}
	s.File = f
	if s.id, err = identity(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if s.zipped { // what is none is told when it is read
		if z, err := gzip.NewReader(f); err == nil && len(z.Extra) > 0 {
			s.id = z.Extra
		}
	}
	return s, nil
}

// same tells whether two are the same file, of which one may have been compressed meanwhile.
func (s *source) same(other *source) bool { return bytes.Equal(s.id, other.id) }

// entries is a reader of it from where it stands; of one that is compressed, from its beginning.
func (s *source) entries() (io.Reader, error) {
	if !s.zipped {
		return s.File, nil
	}
	if _, err := s.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(s.File)
	if err != nil {
		return nil, errDamaged
	}
	return z, nil
}

// errDamaged is a compressed file that is none, or not whole.
var errDamaged = errors.New("a compressed file is damaged")

// tail has the last n lines be what is read of it, and tells how many there are.
func (s *source) tail(n int) (found int, err error) {
	if !s.zipped {
		return seekTail(s.File, n)
	}
	in, err := s.entries()
	if err != nil { // it is told when it is read
		return 0, nil
	}
	lines, open := 0, false
	objects := bufio.NewScanner(in)
	objects.Buffer(make([]byte, 0, 64<<10), longest)
	for objects.Scan() {
		if len(objects.Bytes()) == 0 {
			continue
		}
		if open = !ends(objects.Bytes()); !open {
			lines++
		}
	}
	if open {
		lines++
	}
	s.drop = max(lines-n, 0)
	return min(lines, n), nil
}
