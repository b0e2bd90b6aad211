package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const (
	helperPrefix  = "docker-credential-"
	helperTimeout = 30 * time.Second
	helperOutput  = 1 << 20
)

// askHelper runs docker's credential helper protocol: `docker-credential-NAME
// get`, the server on its standard input, JSON on its standard output. A helper
// that does not know the server is no error.
func askHelper(ctx context.Context, name, server string) (credential, error) {
	if name == "" || strings.ContainsAny(name, "/\\") {
		return credential{}, fmt.Errorf("%q is not the name of a credential helper", name)
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	var out, complaints bounded
	cmd := exec.CommandContext(ctx, helperPrefix+name, "get")
	cmd.Stdin = strings.NewReader(server)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	cmd.WaitDelay = time.Second // a helper's child may hold the pipes
	if err := cmd.Run(); err != nil {
		if strings.Contains(out.String(), "credentials not found") {
			return credential{}, nil
		}
		if said := printable(out.String() + " " + complaints.String()); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return credential{}, fmt.Errorf("credential helper %s%s: %w", helperPrefix, name, err)
	}
	var got struct{ Username, Secret string }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		return credential{}, fmt.Errorf("credential helper %s%s: its answer is not JSON", helperPrefix, name)
	}
	if got.Username == "<token>" {
		return credential{identity: got.Secret}, nil
	}
	return credential{user: got.Username, secret: got.Secret}, nil
}

// bounded is a buffer which refuses to grow without end.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > helperOutput {
		return 0, errors.New("too much output")
	}
	return b.Buffer.Write(p)
}
