// Package peer is the other end of a test's connection: small servers and small
// clients, one program for hosts and containers alike. It is part of the test
// binary, which plays it when it is called by the name "peer"; a script has it
// on PATH, and gives it to a container by `-v $PEER:/bin/peer`.
//
//	peer serve [-ready FILE] KIND=ADDRESS…     servers, see [Listen]; what they see goes to stdout
//	peer dial NET ADDRESS                      connect, no more
//	peer ask NET ADDRESS [TEXT]                send a line, say what comes
//	peer late NET ADDRESS TEXT                 read to the other's end first, and write only then
//	peer rst ADDRESS                           connect, send a byte, and reset
//	peer push|pull|both ADDRESS BYTES          to or from a sum or source server, checked
//	peer hold ADDRESS N                        so many connections to an echo server at once
//	peer look NAME…                            resolve as a program does, by /etc/resolv.conf
//	peer dns SERVER NAME TYPE [tcp] [edns=N]   one question to a name server
//
// A failure is named as the C library names it (ECONNREFUSED, ETIMEDOUT …), as
// the last line of stdout, and the exit status is 1: what a program in a
// container sees is compared with what it would see on the host, by number, not
// by anybody's wording. DEADLINE is the patience of this program itself.
package peer

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Name is what the test binary must be called to be this program.
const Name = "peer"

// patience bounds every wait of a client. It is no measure of anything.
const patience = 15 * time.Second

var errUsage = errors.New("usage: peer serve|dial|ask|late|rst|push|pull|both|hold|look|dns …")

// Main is the program; it returns the exit status.
func Main(args []string) int {
	err := dispatch(args)
	if err == nil {
		return 0
	}
	fmt.Println(Errno(err))
	fmt.Fprintln(os.Stderr, "peer:", err)
	return 1
}

func dispatch(args []string) error {
	if len(args) < 2 {
		return errUsage
	}
	verb, rest := args[0], args[1:]
	arg := func(i int) string {
		if i < len(rest) {
			return rest[i]
		}
		return ""
	}
	switch verb {
	case "serve":
		return serve(rest, os.Stdout)
	case "dial":
		return dial(arg(0), arg(1))
	case "ask":
		return ask(arg(0), arg(1), arg(2))
	case "late":
		return late(arg(0), arg(1), arg(2))
	case "rst":
		return rst(arg(0))
	case "push", "pull", "both":
		return transfer(verb, arg(0), arg(1))
	case "hold":
		return hold(arg(0), arg(1))
	case "look":
		return look(rest)
	case "dns":
		return dnsClient(rest)
	}
	return errUsage
}

// Errno is the name of what went wrong.
func Errno(err error) string {
	var (
		number unix.Errno
		wait   net.Error
	)
	switch {
	case errors.As(err, &number):
		return unix.ErrnoName(number)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "EOF"
	case errors.As(err, &wait) && wait.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return "DEADLINE"
	}
	return "failed: " + err.Error()
}
