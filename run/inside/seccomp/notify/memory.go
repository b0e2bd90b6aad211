package notify

import (
	"bytes"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

const page = 4096

// readMemory copies memory of another process, as much as there is: it stops
// at the first page that cannot be read. Where an outer sandbox forbids
// process_vm_readv it goes by procfs.
func (s *server) memory(pid int, addr uint64, buf []byte) (int, error) {
	if pid <= 0 {
		return 0, unix.ESRCH
	}
	if len(buf) == 0 || addr > math.MaxInt64-uint64(len(buf)) {
		return 0, unix.EFAULT
	}
	var remote []unix.RemoteIovec
	for at, left := addr, len(buf); left > 0; {
		n := min(left, int(page-at%page))
		remote = append(remote, unix.RemoteIovec{Base: uintptr(at), Len: n})
		at, left = at+uint64(n), left-n
	}
	local := unix.Iovec{Base: &buf[0]}
	local.SetLen(len(buf))
	n, err := unix.ProcessVMReadv(pid, []unix.Iovec{local}, remote, 0)
	if err != unix.EPERM && err != unix.ENOSYS || s.proc == "" {
		return n, err
	}
	f, err := os.Open(fmt.Sprintf("%s%d/mem", s.proc, pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err = f.ReadAt(buf, int64(addr))
	if n > 0 {
		err = nil
	}
	return n, err
}

// cString reads a string of up to limit bytes, without its end. ok is false
// when the memory cannot be read or the string is longer.
func (s *server) cString(c *call, addr uint64, limit int) (str string, ok bool) {
	buf := make([]byte, limit+1)
	n, err := s.memory(c.pid, addr, buf)
	if err != nil {
		return "", false
	}
	end := bytes.IndexByte(buf[:n], 0)
	if end < 0 {
		return "", false
	}
	return string(buf[:end]), true
}
