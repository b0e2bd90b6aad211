package run

import "testing"

func TestParseNetDev(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    999       1    0    0    0     0          0         0      999       1    0    0    0     0       0          0
  eth0: 1000 10 0 0 0 0 0 0 200 2 0 0 0 0 0 0
  eth1:1 1 0 0 0 0 0 0 2 2 0 0 0 0 0 0
`
	if in, out := parseNetDev(text); in != 1001 || out != 202 {
		t.Errorf("%d in, %d out", in, out)
	}
	if in, out := parseNetDev("eth0: 1 2"); in != 0 || out != 0 {
		t.Errorf("%d in, %d out of a line that was cut", in, out)
	}
}
