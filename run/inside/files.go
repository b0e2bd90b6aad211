package inside

import (
	"syscall"

	"rl/userns/sys/raw"
)

const oPath = 0x200000 // O_PATH

// mkdirAll makes a directory and what is missing above it. A link of the image
// is followed, inside the new root.
func mkdirAll(path string, mode uint32) error {
	err := syscall.Mkdir(path, mode)
	switch err {
	case nil:
		return nil
	case syscall.EEXIST, syscall.EROFS:
		var st syscall.Stat_t
		if e := syscall.Stat(path, &st); e != nil {
			if err == syscall.EROFS {
				return err
			}
			return fail("dangling symbolic link in the image at "+path, e)
		}
		if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			return syscall.ENOTDIR
		}
		return nil
	case syscall.ENOENT:
		if dir := parent(path); dir != path {
			if err := mkdirAll(dir, 0o755); err != nil {
				return err
			}
			return mkdirAll2(path, mode)
		}
	}
	return err
}

func mkdirAll2(path string, mode uint32) error {
	if err := syscall.Mkdir(path, mode); err != syscall.EEXIST {
		return err
	}
	return nil
}

// touch makes sure that path is something a file can be bound on. A dangling
// link (/etc/resolv.conf of systemd's images) gets the file that it points to.
func touch(path string) error {
	for range 40 { // as many links as the kernel follows
		fd, err := syscall.Open(path, oPath|syscall.O_CLOEXEC, 0)
		if err == nil {
			return syscall.Close(fd)
		}
		if err != syscall.ENOENT {
			return err
		}
		fd, err = syscall.Open(path, syscall.O_CREAT|syscall.O_EXCL|syscall.O_CLOEXEC|syscall.O_WRONLY, 0o644)
		if err == nil {
			return syscall.Close(fd)
		}
		switch err {
		case syscall.ENOENT:
			if err := mkdirAll(parent(path), 0o755); err != nil {
				return err
			}
		case syscall.EEXIST: // the dangling link
			buf := make([]byte, 4096)
			n, err := syscall.Readlink(path, buf)
			if err != nil {
				return err
			}
			if target := string(buf[:n]); target != "" && target[0] == '/' {
				path = target
			} else {
				path = parent(path) + "/" + target
			}
		default:
			return err
		}
	}
	return syscall.ELOOP
}

// writeFile writes a small file in one go, as the kernel's own files want it.
func writeFile(path, data string, flags int) error {
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC|flags, 0o644)
	if err != nil {
		return err
	}
	_, err = syscall.Write(fd, []byte(data))
	if e := syscall.Close(fd); err == nil {
		err = e
	}
	return err
}

// writeNew writes a file unless it is there or its directory is not.
func writeNew(path, data string, mode uint32) error {
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC|syscall.O_CREAT|syscall.O_EXCL, mode)
	if err == syscall.EEXIST || err == syscall.ENOENT || err == syscall.ENOTDIR {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = syscall.Write(fd, []byte(data))
	if e := syscall.Close(fd); err == nil {
		err = e
	}
	return err
}

// slurp reads a small regular file of the image. Anything else there, a fifo
// that would block for ever or a file of gigabytes, reads as empty.
func slurp(path string) []byte {
	const most = 8 << 20
	fd, err := raw.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NONBLOCK|syscall.O_NOCTTY)
	if err != nil {
		return nil
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if syscall.Fstat(fd, &st) != nil || st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Size > most {
		return nil
	}
	buf := make([]byte, st.Size)
	n := 0
	for n < len(buf) {
		m, err := syscall.Read(fd, buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil || m <= 0 {
			break
		}
		n += m
	}
	return buf[:n]
}

func parent(path string) string {
	i := len(path) - 1
	for i > 0 && path[i] == '/' {
		i--
	}
	for i > 0 && path[i] != '/' {
		i--
	}
	for i > 0 && path[i-1] == '/' {
		i--
	}
	if i <= 0 {
		return "/"
	}
	return path[:i]
}

func cut(s string, sep byte) (before, after string) {
	for i := range len(s) {
		if s[i] == sep {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func itoa(n int) string {
	if n < 0 {
		return "-" + itoa(-n)
	}
	var buf [20]byte
	i := len(buf)
	for {
		i--
		buf[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(buf[i:])
		}
	}
}
