package peer

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// dnsClient asks one question and prints the answer.
func dnsClient(args []string) error {
	if len(args) < 3 {
		return errUsage
	}
	server, name, network, edns := args[0], args[1], "udp", 0
	typ, ok := types[strings.ToUpper(args[2])]
	if !ok {
		return fmt.Errorf("no type %q", args[2])
	}
	for _, a := range args[3:] {
		if size, ok := strings.CutPrefix(a, "edns="); ok {
			edns, _ = strconv.Atoi(size)
		} else {
			network = a
		}
	}
	const id = 0x726c
	q := []byte{id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	q = appendName(q, name)
	q = binary.BigEndian.AppendUint16(q, typ)
	q = binary.BigEndian.AppendUint16(q, 1)
	if edns > 0 {
		q[11] = 1
		q = append(q, 0, 0, typeOPT, byte(edns>>8), byte(edns), 0, 0, 0, 0, 0, 0)
	}
	c, err := connect(network, server)
	if err != nil {
		return err
	}
	defer c.Close()
	var b []byte
	if network == "tcp" {
		if err := writeTCP(c, q); err != nil {
			return err
		}
		b, err = readTCP(c)
	} else {
		if _, err := c.Write(q); err != nil {
			return err
		}
		b = make([]byte, 64<<10)
		var n int
		n, err = c.Read(b)
		b = b[:n]
	}
	if err != nil {
		return err
	}
	if len(b) < 2 || binary.BigEndian.Uint16(b) != id {
		return fmt.Errorf("an answer to another question")
	}
	text, err := describe(b)
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(text)
	return err
}
