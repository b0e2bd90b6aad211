package fuse

import "unsafe"

// View is the structure at the beginning of b. It must fit, and b be aligned to 8
// bytes: both hold in the buffers of a Request.
func View[T any](b []byte) *T {
	var t T
	_ = b[unsafe.Sizeof(t)-1]
	return (*T)(unsafe.Pointer(unsafe.SliceData(b)))
}

// Size is how many bytes a T takes on the wire.
func Size[T any]() int {
	var t T
	return int(unsafe.Sizeof(t))
}
