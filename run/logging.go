package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"rl/run/logs"
	"rl/run/state"
	"rl/userns/sys/fault"
)

// captured tells whether the workload's streams pass through its monitor: in the background,
// or when something is to keep them. Otherwise they are the caller's own.
func (c *Container) captured() bool {
	switch c.Flags.Log.Driver {
	case logs.Passthrough:
		return false
	case "", logs.None:
		return c.Background || c.Loose
	}
	return true
}

// passthrough refuses what cannot be handed on: a terminal in the background would be
// one that nobody reads.
func (c *Container) passthrough() error {
	if c.Flags.Log.Driver != logs.Passthrough {
		return nil
	}
	if c.Flags.Terminal {
		return fault.New("", "--log-driver passthrough and -t exclude each other")
	}
	for _, f := range c.Stdio[1:] {
		if c.Background && f != nil && isTerminal(f) {
			return fault.New("redirect the output to a file or a pipe", "--log-driver passthrough cannot be used on a terminal")
		}
	}
	return nil
}

// logging is where the monitor writes what comes.
func (p *preparation) logging() (c logs.Config, err error) {
	l := p.Flags.Log
	if c.Driver = l.Driver; c.Driver == "" {
		c.Driver = logs.JSONFile
	}
	c.Path, c.MaxSize, c.MaxFile = filepath.Join(p.cont.Dir, state.LogFile), l.MaxSize, l.MaxFile
	c.Compress = l.Compress
	tag := l.Tag
	if tag == "" && c.Driver == logs.Journald {
		tag = "{{.ID}}"
	}
	if tag != "" {
		if tag, err = p.tag(tag); err != nil {
			return c, err
		}
	}
	if c.Driver == logs.Journald {
		c.Fields = []logs.Attr{{Key: "CONTAINER_ID", Value: p.rec.ID[:12]}, {Key: "CONTAINER_ID_FULL", Value: p.rec.ID}, {Key: "CONTAINER_NAME", Value: p.rec.Name},
			{Key: "CONTAINER_TAG", Value: tag}, {Key: "SYSLOG_IDENTIFIER", Value: tag}, {Key: "IMAGE_NAME", Value: p.rec.Image}}
	} else if tag != "" {
		c.Attrs = append(c.Attrs, logs.Attr{Key: "tag", Value: tag})
	}
	add := func(key, value string, names []string, pattern string) error {
		matches := slices.Contains(names, key)
		if pattern != "" && !matches {
			re, err := regexp.Compile(pattern)
			if err != nil {
				return err
			}
			matches = re.MatchString(key)
		}
		if matches {
			c.Attrs = append(c.Attrs, logs.Attr{Key: key, Value: value})
		}
		return nil
	}
	for k, v := range p.rec.Labels {
		if err := add(k, v, l.Labels, l.LabelsRegex); err != nil {
			return c, err
		}
	}
	for _, kv := range p.plan.Spec.Process.Env {
		k, v, _ := strings.Cut(kv, "=")
		if err := add(k, v, l.Env, l.EnvRegex); err != nil {
			return c, err
		}
	}
	return c, nil
}

// tag fills docker's template for --log-opt tag.
func (p *preparation) tag(text string) (string, error) {
	t, err := template.New("tag").Parse(text)
	if err != nil {
		return "", fault.New("", "bad --log-opt tag: %w", err)
	}
	imageID := strings.TrimPrefix(p.rec.ImageID, "sha256:")
	var b bytes.Buffer
	err = t.Execute(&b, map[string]string{"ID": p.rec.ID[:12], "FullID": p.rec.ID, "Name": p.rec.Name, "Command": strings.Join(p.rec.Command, " "),
		"ImageName": p.rec.Image, "ImageFullID": p.rec.ImageID, "ImageID": imageID[:min(12, len(imageID))], "DaemonName": "rl"})
	if err != nil {
		return "", fault.New("", "bad --log-opt tag: %w", err)
	}
	return b.String(), nil
}

// Logs reads what a container wrote.
func (e *Engine) Logs(ctx context.Context, text string, w logs.Want, follow bool, each func(*logs.Entry) error) error {
	rec, err := e.State.Find(text)
	if err != nil {
		return err
	}
	switch rec.LogDriver {
	case "", logs.JSONFile:
	case logs.Journald:
		return fault.New("`journalctl CONTAINER_NAME="+rec.Name+"` shows it", "the log of container %s is in systemd's journal", rec.Name)
	default:
		return fault.New("the container was started with --log-driver "+rec.LogDriver, "configured logging driver does not support reading")
	}
	if follow {
		w.Follow = func() bool { return e.State.Running(rec.ID) }
	}
	damaged, err := logs.Read(ctx, filepath.Join(e.State.Dir(rec), state.LogFile), w, each)
	if damaged > 0 {
		e.Notice(fmt.Sprintf("%d pieces of the log of container %s could not be read: they are damaged", damaged, rec.Name))
	}
	if errors.Is(err, os.ErrNotExist) {
		if rec.Fresh { // docker: nothing yet
			return nil
		}
		return fault.New("only what runs in the background (rl run -d), or with --log-driver, is logged", "container %s has no log", rec.Name)
	}
	if err != nil {
		return fmt.Errorf("read the log of container %s: %w", rec.Name, err)
	}
	return nil
}
