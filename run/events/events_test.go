package events

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func journal(t *testing.T) Journal { return For(filepath.Join(t.TempDir(), "rl"), "/store") }

func read(t *testing.T, j Journal, w Want) (list []Event) {
	t.Helper()
	err := j.Read(t.Context(), w, func(e Event) error { list = append(list, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestAddAndRead(t *testing.T) {
	j := journal(t)
	if got := read(t, j, Want{}); len(got) != 0 {
		t.Fatalf("a journal that is not there has %v", got)
	}
	first := New(Container, "create", "id1", map[string]string{"image": "busybox"}, "name", "box")
	second := New(Container, "die", "id1", nil, "exitCode", "3")
	second.Nano = first.Nano + 1e9
	if err := j.Add(first, second); err != nil {
		t.Fatal(err)
	}
	got := read(t, j, Want{})
	if len(got) != 2 || got[0].Attributes["image"] != "busybox" || got[0].Attributes["name"] != "box" || got[1].Attributes["exitCode"] != "3" {
		t.Fatalf("read %+v", got)
	}
	if got := read(t, j, Want{Since: second.Time()}); len(got) != 1 || got[0].Action != "die" {
		t.Errorf("since: %+v", got)
	}
	if got := read(t, j, Want{Until: first.Time()}); len(got) != 1 || got[0].Action != "create" {
		t.Errorf("until: %+v", got)
	}
	if got := read(t, For(filepath.Dir(string(j)), "/other"), Want{}); len(got) != 0 {
		t.Errorf("another store's journal has %+v", got)
	}
	between := New(Container, "start", "id1", nil)
	between.Nano = first.Nano + 1
	if err := j.Add(between); err != nil {
		t.Fatal(err)
	}
	if got := read(t, j, Want{}); len(got) != 3 || got[1].Action != "start" {
		t.Errorf("not in the order in which it happened: %+v", got)
	}
	if err := Journal("").Add(first); err != nil {
		t.Errorf("no journal: %v", err)
	}
}

// What a full disk cut in two is dropped alone.
func TestTornLine(t *testing.T) {
	j := journal(t)
	if err := j.Add(New(Container, "create", "a", nil)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(j.file(0), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\n{\"y\":\"container\",\"a\":\"st"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := j.Add(New(Container, "die", "a", nil)); err != nil {
		t.Fatal(err)
	}
	got := read(t, j, Want{})
	if len(got) != 2 || got[0].Action != "create" || got[1].Action != "die" {
		t.Errorf("read %+v", got)
	}
}

func TestLongLine(t *testing.T) {
	j := journal(t)
	long := strings.Repeat("x", maxLine)
	if err := j.Add(New(Container, "create", "a", map[string]string{"label": long, "name": "box", "small": "1"})); err != nil {
		t.Fatal(err)
	}
	got := read(t, j, Want{})
	if len(got) != 1 || got[0].Attributes["name"] != "box" || got[0].Attributes["small"] != "1" || got[0].Attributes["label"] != "" {
		t.Errorf("read %+v", got)
	}
}

// A follower sees everything that several writers write over many files, once.
func TestFollowRotation(t *testing.T) {
	j := journal(t)
	const writers, rounds, each = 4, 12, 500
	var seen atomic.Int64
	counts := map[string]int{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		done <- j.Read(ctx, Want{Since: time.Unix(1, 0), Follow: true, Lost: func() { t.Error("the follower lost events") }}, func(e Event) error {
			if e.Action == "begin" {
				close(begun)
				return nil
			}
			counts[e.ID]++
			seen.Add(1)
			return nil
		})
	}()
	if err := j.Add(New(Container, "begin", "", nil)); err != nil {
		t.Fatal(err)
	}
	<-begun
	pad := strings.Repeat("p", 250)
	for round := range rounds {
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					if err := j.Add(New(Container, "start", fmt.Sprintf("%d-%d-%d", round, w, i), nil, "pad", pad)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		for seen.Load() < int64((round+1)*writers*each) && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if len(counts) != writers*rounds*each {
		t.Errorf("%d different events were seen", len(counts))
	}
	for id, n := range counts {
		if n != 1 {
			t.Fatalf("%s was seen %d times", id, n)
		}
	}
	entries, err := os.ReadDir(string(j))
	if err != nil || len(entries) < 2 || len(entries) > keepFull+2 {
		t.Errorf("the journal has %d files, %v", len(entries), err)
	}
	var size int64
	for _, e := range entries {
		if st, err := e.Info(); err == nil {
			size += st.Size()
		}
	}
	if size > (keepFull+3)*(fullFile+maxLine) {
		t.Errorf("the journal has %d bytes", size)
	}
}

// A follower that was away while its file went is told.
func TestFollowerIsTold(t *testing.T) {
	j := journal(t)
	if err := j.Add(New(Container, "create", "a", nil)); err != nil {
		t.Fatal(err)
	}
	lost := 0
	r := &reader{Journal: j, want: Want{Lost: func() { lost++ }}, each: func(Event) error { return nil }}
	defer r.close()
	if err := r.all(); err != nil {
		t.Fatal(err)
	}
	for range keepFull + 2 {
		var st unix.Stat_t
		if err := unix.Stat(j.file(0), &st); err != nil {
			t.Fatal(err)
		}
		if err := j.rotate(&st); err != nil {
			t.Fatal(err)
		}
		if err := j.Add(New(Container, "create", "b", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.all(); err != nil {
		t.Fatal(err)
	}
	if lost != 1 {
		t.Errorf("the follower was told %d times", lost)
	}
}

func TestFollowUntil(t *testing.T) {
	j := journal(t)
	if err := j.Read(t.Context(), Want{Follow: true, Until: time.Now().Add(50 * time.Millisecond)}, func(Event) error { return nil }); err != nil {
		t.Error(err)
	}
	if err := j.Add(New(Container, "create", "a", nil)); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	if err := j.Read(t.Context(), Want{Since: time.Unix(1, 0), Follow: true}, func(Event) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the reader's own error became %v", err)
	}
}

func TestUnwritable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root writes anywhere")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := For(dir, "/store").Add(New(Container, "create", "a", nil)); err == nil {
		t.Error("an event was written where nobody can write")
	}
}

func TestFilter(t *testing.T) {
	start := New(Container, "start", "abc123", map[string]string{"image": "host:5000/busybox:1", "name": "web", "tier": "front"})
	health := New(Container, "health_status: healthy", "abc123", nil)
	pull := New(Image, "pull", "debian:12", map[string]string{"name": "debian"})
	connect := New(Network, "connect", "net1", nil, "container", "abc123", "name", "lan")
	for _, c := range []struct {
		filter string
		event  Event
		want   bool
	}{
		{"", start, true},
		{"type=container", start, true},
		{"type=image", start, false},
		{"type=image type=container", start, true},
		{"event=start", start, true},
		{"event=die", start, false},
		{"event=health_status", health, true},
		{"event=health_status: healthy", health, true},
		{"event=health_status: unhealthy", health, false},
		{"container=web", start, true},
		{"container=abc", start, true},
		{"container=other", start, false},
		{"container=abc", connect, true},
		{"container=abc", pull, false},
		{"image=host:5000/busybox:1", start, true},
		{"image=host:5000/busybox", start, true},
		{"image=busybox", start, false},
		{"image=debian", pull, true},
		{"image=debian:12", pull, true},
		{"image=debian", connect, false},
		{"label=tier", start, true},
		{"label=tier=front", start, true},
		{"label=tier=back", start, false},
		{"label=tier label=none", start, false},
		{"network=lan", connect, true},
		{"network=net1", connect, true},
		{"network=lan", start, false},
		{"volume=lan", connect, false},
		{"type=container event=die", start, false},
	} {
		var texts []string
		if c.filter != "" {
			texts = strings.Split(strings.ReplaceAll(c.filter, ": ", ":_"), " ")
			for i := range texts {
				texts[i] = strings.ReplaceAll(texts[i], ":_", ": ")
			}
		}
		f, err := ParseFilter(texts)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Match(&c.event); got != c.want {
			t.Errorf("%q of %s %s: %t", c.filter, c.event.Type, c.event.Action, got)
		}
	}
	for _, bad := range []string{"colour=red", "type", ""} {
		if _, err := ParseFilter([]string{bad}); err == nil {
			t.Errorf("the filter %q was accepted", bad)
		}
	}
}
