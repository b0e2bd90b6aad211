// Package fuse serves filesystems to the kernel through /dev/fuse: the mount, the
// protocol, the threads. What is in a filesystem is a [Handler]'s business; see
// fuse/overlay.
//
//	program ──system call──▶ kernel ──request──▶ /dev/fuse ──read──▶ worker ─▶ Handler
//	        ◀───────────────        ◀──reply───            ◀─write──
//
// It mounts with mount(2) inside a user namespace, without fusermount, and knows
// the protocol itself rather than through a library: what costs is the number of
// requests and of fresh pages. So
//
//   - a worker is one thread with one buffer. A request is answered in the buffer in
//     which it came: nothing is allocated, nothing faulted in, and file contents go
//     from there to a file, or from a file to there, in one system call;
//   - one worker reads, and answers at once what takes microseconds. Before anything
//     that may take long it hands the turn to read to another (Request.Yield), so that
//     fsync(2) or a large copy keep nobody waiting; a watch does that for one that
//     is stuck without having said so;
//   - FLUSH, ACCESS and the like are answered ENOSYS by the handler once, after
//     which the kernel does not ask again.
//
// A server must never touch its own mount by a page fault (mmap), or by a fork
// whose child executes from it: the runtime stops all goroutines now and then, and
// would wait for one that waits for another. Ordinary system calls are safe.
//
// Nothing hangs when the server is killed: with its last descriptor of /dev/fuse
// the kernel ends the connection, and everybody gets ENOTCONN.
package fuse
