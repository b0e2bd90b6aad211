// Package carry brings files into containers and out of them: it is the process
// behind `rl cp`, `rl export` and `rl diff`, and both ends of its stream.
//
//	front, outside                        carrier: Main, a stage
//	  │ ── Request, in a memfd ────────────▶ │ enters the mount namespace of a container that runs,
//	  │                                      │ or mounts the root of one that does not
//	  │ ◀── S Info ───────────────────────── │ what the path leads to, inside
//	  │ ── G name ─────────────────────────▶ │ (out) go on, and call it so in the stream
//	  │ ◀════════════ tar, a pipe ══════════▶ │
//	  │ ◀── N text ───────────────────────── │ what was left out
//	  │ ◀── K, or E status text ──────────── │
//
// Who writes a container's files is hostile, and may be at it meanwhile. So a path
// inside is walked inside, by this process, link by link ([inside.resolve]); nothing
// but names relative to an open directory is ever opened ([os.Root]), which a link
// cannot lead out of, whoever turns it when; and what comes out is unpacked by a
// reader that believes no name and follows no link ([Unpacker]).
//
// The carrier of a running container is a child of its monitor, outside of the
// container's pid namespace: nothing inside sees it, or the caller's streams that it has.
package carry

import (
	"io/fs"

	"rl/run/rootfs"
)

// Stage is the carrier's name in the table of stages. Its argument is one of the two.
const (
	Stage = "carry"
	Join  = "join"  // a running container, whose first process FdHold is a pidfd of
	Mount = "mount" // one that does not run, whose lock FdHold is
)

// Descriptors of the carrier beside its streams, 0 and 1; 3 is userns.FdSocket.
const (
	FdTalk = 4
	FdHold = 5
)

// The messages, by their first byte.
const (
	MsgRequest = 'R' // with a memfd
	MsgInfo    = 'S' // then Info as JSON
	MsgGo      = 'G' // then the name of the topmost entry; "" leaves that of its directory away
	MsgNote    = 'N' // then text
	MsgDone    = 'K'
	MsgError   = 'E' // then the exit status and text
)

// Op is what is to be done.
type Op string

// What a carrier can do.
const (
	Out    Op = "out"    // Path as a tar stream
	In     Op = "in"     // a tar stream to Path
	Export Op = "export" // the root file system alone as a tar stream, nothing that is mounted in it
	Diff   Op = "diff"   // what was changed, each as "C/name" and a zero
)

// Request is what the front asks.
type Request struct {
	Op     Op
	Path   string // in the container
	Follow bool   // (out) what a link at its end leads to
	Source Source // (in) what comes; (out) Stream: for somebody else than an Unpacker
	Owners bool   // (in) keep them
	Single bool   // there is one id: no other owner can be
	Root   *Root  // of a container that does not run, and for Diff
}

// Root is what a container's root file system is made of.
type Root struct {
	Tree     rootfs.Tree
	Driver   string // "" or a pinned rung
	Plain    string // not "": a directory in place of layers
	Binds    []Bind // in the order of the start
	ReadOnly bool
	Targets  []string // (diff) where something is mounted in the running container
}

// Bind is a directory or file of the host's, in the container.
type Bind struct {
	Source, Target string
	Subpath        string // not "": what is mounted is this part of Source, out of which no link leads
	ReadOnly       bool
	Volume         string // directory of the volume that Source is in, "" for none
	Fill           bool   // it is to have what the image has there, if it is empty
}

// Info is what a path leads to.
type Info struct {
	Name string // its last element as it was asked for, "" for the root directory
	Mode fs.FileMode
	Size int64
	Link string // of a link that was not followed
}

// Source is what is copied.
type Source struct {
	Name     string // its last element
	Dir      bool
	Contents bool // of a directory: what is in it, not itself (/.)
	Stream   bool // a tar stream: its own names, and it wants a directory
}

// Entry is what the topmost entry is called in the stream between the two ends.
const Entry = "it"
