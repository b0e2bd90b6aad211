package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"rl/run/events"
	"rl/userns/sys/fault"
)

type eventsCmd struct {
	Filter []string `short:"f" sep:"none" placeholder:"KEY=VALUE" help:"Only those with this container, event, image, label, network, type or volume."`
	Format string   `placeholder:"TEMPLATE" help:"json, or a Go template."`
	Since  string   `placeholder:"TIME" help:"Begin with what came after: RFC 3339, unix seconds, or how long ago (10m)."`
	Stream bool     `default:"true" negatable:"" help:"Go on with what comes; --no-stream shows what was, and ends."`
	Until  string   `placeholder:"TIME" help:"End then; -10m is in ten minutes."`
}

// Help is what stands below the flags.
func (eventsCmd) Help() string {
	return `Events are kept in memory, the last few thousand of this user and RL_ROOT, and begin anew with each boot. Without --since, only what happens from now on is shown. A container whose monitor was killed (SIGKILL) dies without a word: the command that finds it dead writes its "die".`
}

// eventMessage is docker's event.
type eventMessage struct {
	Status   string `json:"status,omitempty"`
	ID       string `json:"id,omitempty"`
	From     string `json:"from,omitempty"`
	Type     string
	Action   string
	Actor    eventActor
	Scope    string `json:"scope,omitempty"`
	Time     int64  `json:"time,omitempty"`
	TimeNano int64  `json:"timeNano,omitempty"`
}

type eventActor struct {
	ID         string
	Attributes map[string]string
}

// Run prints events until somebody ends it, or --until does.
func (c *eventsCmd) Run(a *app) error {
	w := events.Want{Follow: c.Stream}
	var err error
	if w.Since, err = timeFlag("--since", c.Since); err != nil {
		return err
	}
	if w.Until, err = timeFlag("--until", c.Until); err != nil {
		return err
	}
	want, err := events.ParseFilter(c.Filter)
	if err != nil {
		return fault.New("filters are "+strings.Join(events.Keys, ", ")+", as in type=container", "%w", err)
	}
	out := bufio.NewWriter(a.Out)
	show, err := c.printer(out)
	if err != nil {
		return err
	}
	e, err := a.engine()
	if err != nil {
		return err
	}
	return e.Events(a.context(), w, func(ev events.Event) error {
		if !want.Match(&ev) {
			return nil
		}
		if err := show(message(&ev)); err != nil {
			return err
		}
		return out.Flush()
	})
}

// timeFlag reads a point in time; "" is none.
func timeFlag(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	when, ok := pointInTime(text)
	if !ok {
		return when, fault.New("write RFC 3339, unix seconds, or how long ago, as 10m", "bad %s %q", flag, text)
	}
	return when, nil
}

func message(e *events.Event) eventMessage {
	m := eventMessage{Type: e.Type, Action: e.Action, Actor: eventActor{e.ID, e.Attributes}, Scope: "local",
		Time: e.Time().Unix(), TimeNano: e.Nano}
	if m.Actor.Attributes == nil {
		m.Actor.Attributes = map[string]string{}
	}
	switch e.Type { // what docker had before it had types
	case events.Container:
		m.Status, m.ID, m.From = e.Action, e.ID, e.Attributes["image"]
	case events.Image:
		m.Status, m.ID = e.Action, e.ID
	}
	return m
}

// printer is how an event is shown.
func (c *eventsCmd) printer(out *bufio.Writer) (func(eventMessage) error, error) {
	if c.Format == "json" {
		enc := json.NewEncoder(out)
		return func(m eventMessage) error { return enc.Encode(m) }, nil
	}
	if c.Format == "" {
		return func(m eventMessage) error {
			_, err := fmt.Fprintln(out, m.line())
			return err
		}, nil
	}
	t, err := parseTemplate(c.Format)
	if err == nil { // a mistake is told now, not with the first event
		err = probeTemplate(t, eventMessage{Actor: eventActor{Attributes: map[string]string{}}})
	}
	return func(m eventMessage) error {
		if err := t.Execute(out, m); err != nil {
			return templateError(err)
		}
		return out.WriteByte('\n')
	}, err
}

func probeTemplate(t *template.Template, sample any) error {
	var nowhere strings.Builder
	if err := t.Execute(&nowhere, sample); err != nil {
		return templateError(err)
	}
	return nil
}

// line is docker's. Labels and commands are other people's: what would move a
// terminal's cursor is shown, not sent.
func (m *eventMessage) line() string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(m.Actor.Attributes)) {
		list = append(list, k+"="+m.Actor.Attributes[k])
	}
	text := fmt.Sprintf("%s %s %s %s", time.Unix(0, m.TimeNano).Format("2006-01-02T15:04:05.000000000Z07:00"), m.Type, m.Action, m.Actor.ID)
	if len(list) > 0 {
		text += " (" + strings.Join(list, ", ") + ")"
	}
	return visible(text)
}

// visible writes control characters as Go does.
func visible(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
