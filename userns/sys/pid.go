package sys

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// PidOf is a process as the caller's procfs numbers it.
func PidOf(pidfd *os.File) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd.Fd()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, "Pid:"); ok {
			if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && n > 0 {
				return n, nil
			}
		}
	}
	return 0, errors.New("a process cannot be seen from here")
}
