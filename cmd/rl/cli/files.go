package cli

import (
	"io"
	"os"

	"rl/userns/sys/fault"
)

// readFile opens a file that an option names and has it read.
func readFile[T any](path string, parse func(io.Reader, string) ([]T, error)) ([]T, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New("name a file that can be read", "%w", err)
	}
	defer f.Close()
	return parse(f, path)
}
