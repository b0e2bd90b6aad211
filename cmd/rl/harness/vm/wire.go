package vm

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// What the test and its agent in the machine say to each other: one JSON object a
// line, a request and its reply in turn, over a virtio serial port. When the
// machine has booted the agent says so, unasked, with a reply that has Boot.
//
//	test                virtio-serial             agent, root          agent session, as the user
//	──▶ {Login: rlsub, How: pam} ───────────────▶ su -l rlsub ──starts──▶
//	◀── {} ◀──────────────────────────────────────┘
//	──▶ {Session: rlsub, Argv: [rl run …]} ─────▶ ──────── stdin ────────▶ rl run …
//	◀── {Status: 0, Stdout: …} ◀───────────────── ◀─────── stdout ────────┘
type request struct {
	Login   string   `json:",omitempty"` // begin a session of this user, under the user's name
	How     how      `json:",omitempty"` // with Login
	Props   []string `json:",omitempty"` // with How service: systemd's properties
	Logout  bool     `json:",omitempty"` // end Session
	Left    bool     `json:",omitempty"` // say what of rl there is
	Session string   `json:",omitempty"` // where to run Argv; "" is as root, in the agent's service
	Argv    []string `json:",omitempty"`
	Seconds int      `json:",omitempty"` // how long Argv may take
}

// how a session comes to be.
type how string

const (
	pam     how = "pam"     // by su -l: logind and the user's manager know of it
	bare    how = "bare"    // by setpriv: only the ids and a home
	service how = "service" // by systemd-run: a system service with User=
)

type reply struct {
	Boot   string `json:",omitempty"` // the kernel's id of this boot
	Status int    `json:",omitempty"` // of Argv, as a shell counts
	Stdout []byte `json:",omitempty"`
	Stderr []byte `json:",omitempty"`
	Error  string `json:",omitempty"` // it could not be done, or not to its end
}

// A wire is one end of such a conversation.
type wire struct {
	out io.Writer
	in  *bufio.Reader
}

func newWire(in io.Reader, out io.Writer) *wire { return &wire{out, bufio.NewReader(in)} }

func (w *wire) send(message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	_, err = w.out.Write(append(text, '\n'))
	return err
}

func (w *wire) receive(message any) error {
	line, err := w.in.ReadBytes('\n')
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, message); err != nil {
		return fmt.Errorf("%w: %q", err, line)
	}
	return nil
}
