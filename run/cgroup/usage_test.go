package cgroup

import (
	"testing"
	"time"
)

func TestParseUsage(t *testing.T) {
	files := map[string]string{
		"cpu.stat":       "usage_usec 1500000\nuser_usec 1\nsystem_usec 2",
		"memory.current": "1000000", "memory.max": "max", "memory.stat": "anon 5\nfile 7\ninactive_file 400000\nactive_file 3",
		"pids.current": "3",
		"io.stat":      "254:0 rbytes=100 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n8:0 rbytes=11 wbytes=2 rios=1",
	}
	got := parseUsage(func(f string) string { return files[f] })
	if want := (Usage{CPU: 1500 * time.Millisecond, Memory: 600000, Limit: -1, PIDs: 3, Read: 111, Written: 22}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	files["memory.max"] = "67108864"
	if got := parseUsage(func(f string) string { return files[f] }); got.Limit != 64<<20 {
		t.Errorf("limit %d", got.Limit)
	}
	none := parseUsage(func(string) string { return "" })
	if want := (Usage{CPU: -1, Memory: -1, Limit: -1, PIDs: -1, Read: -1, Written: -1}); none != want {
		t.Errorf("without controllers: %+v", none)
	}
}
