package cli

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"rl/run"
	"rl/run/carry"
	"rl/userns/sys/fault"
)

type cpCmd struct {
	Source      string `arg:"" name:"source" placeholder:"SRC" help:"CONTAINER:PATH, a path of the host, or - for a tar stream on standard input."`
	Destination string `arg:"" name:"destination" placeholder:"DEST" help:"The other side: a path of the host or CONTAINER:PATH, or - for a tar stream on standard output."`

	Archive bool `short:"a" help:"Keep owners; without it what is copied in is root's, and what is copied out yours."`
	Follow  bool `short:"L" name:"follow-link" help:"Copy what a link leads to, when SRC is one."`
	Quiet   bool `short:"q" help:"Do not say how much was copied."`
}

// Help is what stands below the flags.
func (cpCmd) Help() string {
	return `A file goes to DEST, or into it when that is a directory. A directory goes into a DEST that exists, or is called DEST; with /. at its end what is in it is copied. The directory above DEST must exist. A path of the host with a colon needs a / before it: ./a:b.

Links are followed inside of the container, never out of it. Devices, pipes and sockets are left out. A tar stream that is copied in keeps its owners.`
}

// Run copies.
func (c *cpCmd) Run(a *app) error {
	from, in := containerPath(c.Source)
	to, out := containerPath(c.Destination)
	switch {
	case in && out:
		return fault.New("copy to the host, and from there", "copying between containers is not supported")
	case !in && !out:
		return fault.New("write CONTAINER:PATH on one side", "must specify at least one container source")
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	if in {
		from.Outside, from.Follow, from.Owners = c.Destination, c.Follow, c.Archive
		if c.Destination == "-" {
			if err := noTerminal(a.Out); err != nil {
				return err
			}
			return e.CopyOutTar(*from, a.Out)
		}
		n, err := e.CopyOut(*from)
		return c.said(a, n, c.Destination, err)
	}
	to.Outside, to.Follow, to.Owners = c.Source, c.Follow, c.Archive
	if c.Source == "-" {
		if terminal(a.In) {
			return fault.New("redirect a tar archive into it", "a tar stream cannot be typed: standard input is a terminal")
		}
		return e.CopyInTar(*to, a.In)
	}
	n, err := e.CopyIn(*to)
	return c.said(a, n, c.Destination, err)
}

func (c *cpCmd) said(a *app, n int64, where string, err error) error {
	if err == nil && !c.Quiet && terminal(a.Err) {
		fmt.Fprintf(a.Err, "Successfully copied %s to %s\n", size(n), carry.Quote(where))
	}
	return err
}

// containerPath takes CONTAINER:PATH apart, as docker does: what begins with / or .
// is a path of the host, whatever colons it has.
func containerPath(text string) (*run.Copy, bool) {
	name, path, ok := strings.Cut(text, ":")
	if !ok || name == "" || strings.HasPrefix(text, "/") || strings.HasPrefix(text, ".") {
		return &run.Copy{}, false
	}
	if path == "" {
		path = "/"
	}
	return &run.Copy{Container: name, Inside: path}, true
}

func terminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// noTerminal keeps a stream of bytes from a screen.
func noTerminal(f *os.File) error {
	if terminal(f) {
		return fault.New("redirect it, or pipe it to tar", "cowardly refusing to write a tar stream to a terminal")
	}
	return nil
}

type diffCmd struct {
	Container string `arg:"" predictor:"container" help:"Name or id."`
}

// Help is what stands below the flags.
func (diffCmd) Help() string {
	return "Each line is A for added, C for changed or D for deleted, and a path; control characters in it are written as \\xNN. What is mounted in the container is not looked into."
}

// Run prints a line a change.
func (c *diffCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	list, err := e.Diff(c.Container)
	if err != nil {
		return err
	}
	for _, ch := range list {
		a.printf("%c %s\n", ch.Kind, carry.Quote(ch.Path))
	}
	return nil
}

type exportCmd struct {
	Container string `arg:"" predictor:"container" help:"Name or id."`
	Output    string `short:"o" placeholder:"FILE" help:"Write to a file instead of standard output."`
}

// Help is what stands below the flags.
func (exportCmd) Help() string {
	return "Writes the container's root file system as a tar archive, without volumes and what else is mounted in it."
}

// Run writes the archive; a file is there in full or not at all.
func (c *exportCmd) Run(a *app) error {
	e, err := a.engine()
	if err != nil {
		return err
	}
	if c.Output == "" {
		if err := noTerminal(a.Out); err != nil {
			return err
		}
		return e.Export(c.Container, a.Out)
	}
	return writeWhole(c.Output, func(f *os.File) error { return e.Export(c.Container, f) })
}
