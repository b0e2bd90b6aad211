package carry

import (
	"bufio"
	"os"

	"rl/run/rootfs"
)

// diff writes what the container changed: the letter, the name, a zero.
func (c *carrier) diff() error {
	list, err := rootfs.Changes(c.req.Root.Tree, c.req.Root.Targets)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(os.NewFile(1, "stream"))
	for _, ch := range list {
		w.WriteByte(ch.Kind)
		w.WriteString(ch.Path)
		w.WriteByte(0)
	}
	return w.Flush()
}
