package run

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"rl/userns/sys/fault"
)

// Top lists what runs in a container as the host's ps does with some options: a heading, and
// a line each. As docker has it, ps is told the numbers; where that and the options exclude each
// other its list is searched for them, for which it needs the column PID.
func (e *Engine) Top(text string, options []string) ([][]string, error) {
	list, err := e.Processes(text)
	if err != nil {
		return nil, err
	}
	pids := make([]string, len(list))
	for i, p := range list {
		pids[i] = strconv.Itoa(p.PID)
	}
	out, err := hostPS(append(slices.Clone(options), "-q", strings.Join(pids, ",")))
	if err == nil {
		return psColumns(out, nil)
	}
	if out, err = hostPS(options); err != nil {
		return nil, err
	}
	return psColumns(out, pids)
}

func hostPS(args []string) (string, error) {
	cmd := exec.Command("ps", args...)
	var why bytes.Buffer
	cmd.Stderr = &why
	out, err := cmd.Output()
	var status *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fault.New("`rl top CONTAINER` without options needs none", "the host has no program ps, which reads these options")
	case errors.As(err, &status) && len(bytes.TrimSpace(why.Bytes())) > 0:
		first, _, _ := strings.Cut(strings.TrimSpace(why.String()), "\n")
		return "", fault.New("ps(1) of this host tells what it takes", "ps: %s", strings.TrimPrefix(first, "error: "))
	case err != nil:
		return "", fmt.Errorf("ps: %w", err)
	}
	return string(out), nil
}

// psColumns divides ps's lines into columns, of which the last may have spaces. With pids, it
// keeps those of these processes.
func psColumns(out string, pids []string) ([][]string, error) {
	lines := strings.Split(strings.TrimRight(out, "\n"), "\n")
	head := strings.Fields(lines[0])
	at := slices.Index(head, "PID")
	if pids != nil && at < 0 {
		return nil, fault.New("have it show the column pid, too", "ps shows no column PID with these options, by which the container's processes could be told")
	}
	table := [][]string{head}
	for _, line := range lines[1:] {
		f := strings.Fields(line)
		if pids != nil && (len(f) <= at || !slices.Contains(pids, f[at])) {
			continue
		}
		if n := len(head); n > 0 && len(f) > n {
			f = append(f[:n-1:n-1], strings.Join(f[n-1:], " "))
		}
		table = append(table, f)
	}
	return table, nil
}
