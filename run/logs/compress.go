package logs

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"
)

// What was rotated is compressed beside the writing (--log-opt compress), as docker does it:
//
//	log.1 ─▶ log.new.gz ─ rename ─▶ log.1.gz, then log.1 is removed
//
// So each is there, as the one or the other, at any moment; while both are, log.1 counts. A
// rotation does not wait: it stops the work, and what is not compressed yet is when there is
// time. The writer of a file that was killed leaves no more than log.new.gz, which is written over.

// suffix is that of a compressed file.
const suffix = ".gz"

// compressor works on the files of a log that have been rotated.
type compressor struct {
	quit, done chan struct{} // nil: it does nothing
}

// begin compresses what is not, from the oldest.
func (c *compressor) begin(path string, files int) {
	c.quit, c.done = make(chan struct{}), make(chan struct{})
	quit, done := c.quit, c.done
	go func() {
		defer close(done)
		for n := files - 1; n > 0; n-- {
			if compress(path, n, quit) != nil { // a full disk, or no time: it stays as it is
				return
			}
		}
	}()
}

// stop ends the work, at the next piece.
func (c *compressor) stop() {
	if c.quit != nil {
		close(c.quit)
		<-c.done
		c.quit = nil
	}
}

var errQuit = errors.New("no time")

// compress compresses one file.
func compress(path string, n int, quit chan struct{}) (err error) {
	from, err := os.Open(rotated(path, n))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	name := path + ".new" + suffix
	to, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, to.Close()); err == nil {
			err = os.Rename(name, rotated(path, n)+suffix)
		}
		if err != nil {
			os.Remove(name)
			return
		}
		err = os.Remove(rotated(path, n))
	}()
	id, err := identity(from)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return err
	}
	z.Extra = id
	buf := make([]byte, 64<<10)
	for {
		select {
		case <-quit:
			return errQuit
		default:
		}
		n, err := from.Read(buf)
		if _, err := z.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return z.Close()
		}
		if err != nil {
			return err
		}
	}
}

// identity is what a file is known by, whatever it is called: its inode. A compressed one has
// that of the file it was made of in its header, so that a reader who has read the one knows the other.
func identity(f *os.File) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(st.Dev)), st.Ino), nil
}
