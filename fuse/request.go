package fuse

import (
	"bytes"
	"syscall"
)

// A Request is one question of the kernel. It lives in the buffer of a worker and
// is worth nothing after Handle has returned.
//
//	0          40        (in)                      outAt         (out)
//	├ InHeader ┼ body: structure, names, data ┄┄┄┄┤├ reply, from Out ┄┄┄┄┤
//
// The data of a WRITE reach beyond outAt, and what Data gives to a READ begins
// before it: both overlap with nothing that is still needed.
type Request struct {
	In   *InHeader
	body []byte
	w    *worker
}

// Body is what follows the header.
func (r *Request) Body() []byte { return r.body }

// Arg is the structure at the beginning of the body, or nil when that is too
// short for it.
func Arg[T any](r *Request) *T {
	if len(r.body) < Size[T]() {
		return nil
	}
	return View[T](r.body)
}

// Name is the zero-terminated string at an offset of the body, with its zero, and
// the offset of what follows; nil when there is none.
func (r *Request) Name(at int) (name []byte, next int) {
	if at >= len(r.body) {
		return nil, at
	}
	n := bytes.IndexByte(r.body[at:], 0)
	if n < 0 {
		return nil, at
	}
	return r.body[at : at+n+1 : at+n+1], at + n + 1
}

// SetxattrSize is how long the structure before a SETXATTR's name is: older kernels
// (before 5.13) send the first half.
func (r *Request) SetxattrSize() int {
	if r.w.conn.flags.Load()&SetxattrExt == 0 {
		return Size[SetxattrIn]() / 2
	}
	return Size[SetxattrIn]()
}

// Out is the room for a reply of up to size bytes; what was in it before is not
// cleared.
func (r *Request) Out(size int) []byte {
	r.w.at = outAt
	return r.w.buf[outAt : outAt+size : outAt+size]
}

// Reply is an empty structure to be filled in and sent by returning its size.
func Reply[T any](r *Request) *T {
	b := r.Out(Size[T]())
	clear(b)
	return View[T](b)
}

// Data is the room for up to maxData bytes of file contents. It overwrites the
// body.
func (r *Request) Data(size int) []byte {
	r.w.at = dataAt
	return r.w.buf[dataAt : dataAt+size : dataAt+size]
}

// Scratch is some memory for the handler's own use, apart from body and Out.
func (r *Request) Scratch() []byte { return r.w.buf[scratchAt : scratchAt+scratchSize] }

// Yield says that the answer may take long: a disk is waited for, or much is copied.
func (r *Request) Yield() { r.w.conn.yield(r.w) }

// Umask has the files that are made next follow the caller's umask, as the
// filesystem below sees fit: a default ACL overrules it.
func (r *Request) Umask(mask uint32) {
	if r.w.umask != int(mask) {
		syscall.Umask(int(mask)) // this thread's alone: see worker.loop
		r.w.umask = int(mask)
	}
}

// Handler answers requests, from several threads at a time. n is the size of
// what it put in Out or Data; it may be NoReply for FORGET.
type Handler interface {
	Handle(r *Request) (n int, errno syscall.Errno)
}

// NoReply as size sends nothing.
const NoReply = -1
