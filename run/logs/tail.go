package logs

import (
	"bytes"
	"io"
	"os"
)

// skip goes to where the last n lines begin, in whichever file that is, without
// reading what is before it.
func (r *reader) skip(n int) error {
	for i := len(r.rest) - 1; i >= 0; i-- {
		found, err := r.rest[i].tail(n)
		if err != nil {
			return err
		}
		if n -= found; n > 0 && i > 0 {
			continue
		}
		for _, f := range r.rest[:i] {
			f.Close()
		}
		r.rest = r.rest[i:]
		break
	}
	return nil
}

// seekTail goes to where the last n lines of a file begin, its beginning when there
// are fewer, and tells how many there are. A line may be of several objects.
func seekTail(f *os.File, n int) (found int, err error) {
	at, err := f.Seek(0, io.SeekEnd)
	if err != nil || n <= 0 {
		return 0, err
	}
	const block = 64 << 10
	buf := make([]byte, block)
	var tail []byte // of an object whose beginning was not read yet
	seen := 0       // objects, and what may follow the last
	for at > 0 {
		size := min(int64(block), at)
		at -= size
		if _, err := io.ReadFull(io.NewSectionReader(f, at, size), buf[:size]); err != nil {
			return 0, err
		}
		end := int(size)
		for {
			i := bytes.LastIndexByte(buf[:end], '\n')
			if i < 0 {
				break
			}
			object := append(bytes.Clone(buf[i+1:end]), tail...)
			tail, end = tail[:0], i
			if seen++; seen == 1 {
				continue // half an object, or nothing, which counts as little
			}
			if seen == 2 && !ends(object) {
				found++ // the last line has no end
			} else if ends(object) {
				if found++; found > n {
					_, err := f.Seek(at+int64(i)+1+int64(len(object))+1, io.SeekStart)
					return n, err
				}
			}
		}
		tail = append(bytes.Clone(buf[:end]), tail...)
		if len(tail) > longest {
			tail = tail[:0]
		}
	}
	if len(tail) > 0 && ends(tail) {
		found++
		if found > n {
			_, err := f.Seek(int64(len(tail))+1, io.SeekStart)
			return n, err
		}
	}
	_, err = f.Seek(0, io.SeekStart)
	return found, err
}
