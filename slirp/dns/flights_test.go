package dns

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Who asks the same at the same time waits for one answer, and gets it with the own id
// and spelling.
func TestAskedOnce(t *testing.T) {
	release := make(chan struct{})
	u := resolver(t, func(_ string, q []byte) [][]byte {
		<-release
		return [][]byte{says(q, rcodeSuccess, a4(0, "192.0.2.1"))}
	})
	s := relay(u)
	const clients = 20
	type outcome struct{ q, a []byte }
	done := make(chan outcome, clients)
	for i := range clients {
		name := "example.org"
		if i%2 == 1 {
			name = strings.ToUpper(name)
		}
		q := query4(uint16(i), name, typeA, withCookie)
		go s.UDP(context.Background(), q, func(a []byte) { done <- outcome{q, a} })
	}
	waitFor(t, func() bool { return s.flights.waiting() == clients })
	close(release)
	for range clients {
		o := <-done
		expect(t, o.q, o.a, rcodeSuccess, "192.0.2.1")
	}
	if n := len(u.queries()); n != 1 {
		t.Errorf("the resolver was asked %d times", n)
	}
	waitFor(t, func() bool { return s.flights.waiting() == 0 })
}

// A question ends when nobody waits for it any more, and not before.
func TestNobodyWaits(t *testing.T) {
	release := make(chan struct{})
	u := resolver(t, func(_ string, q []byte) [][]byte {
		<-release
		return [][]byte{says(q, rcodeSuccess, a4(0, "192.0.2.1"))}
	})
	s := relay(u)
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan bool)
	q := query4(7, "example.org", typeA, 0)
	go func() {
		answered := false
		s.UDP(ctx, q, func([]byte) { answered = true })
		left <- answered
	}()
	waitFor(t, func() bool { return s.flights.waiting() == 1 })
	stays := make(chan []byte, 1)
	go s.UDP(context.Background(), q, func(a []byte) { stays <- a })
	waitFor(t, func() bool { return s.flights.waiting() == 2 })
	cancel()
	if <-left {
		t.Error("a query whose context ended was answered")
	}
	close(release)
	expect(t, q, <-stays, rcodeSuccess, "192.0.2.1")

	s = relay(silent(t))
	ctx, cancel = context.WithCancel(context.Background())
	go func() { s.UDP(ctx, q, func([]byte) {}); left <- false }()
	waitFor(t, func() bool { return s.flights.waiting() == 1 })
	cancel()
	<-left
	waitFor(t, func() bool { return s.flights.waiting() == 0 })
}

// Who has got an answer and asks again, asks anew.
func TestAskedAnew(t *testing.T) {
	var f flights
	var n atomic.Int32
	for i := range int32(20000) {
		f.do(context.Background(), "", func(context.Context) (*answer, error) { n.Add(1); return nil, nil })
		if n.Load() != i+1 {
			t.Fatalf("asked %d times of %d", n.Load(), i+1)
		}
	}
}

func (f *flights) waiting() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fl := range f.air {
		n += fl.waiting
	}
	return n
}

// waitFor polls, for ten seconds at most.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for range 2000 {
		if cond() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("waited in vain")
}

func TestDatagramsAreBounded(t *testing.T) {
	s := relay(silent(t))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const beyond = 50
	back := make(chan struct{}, maxDatagrams+beyond)
	for i := range maxDatagrams + beyond {
		go func() {
			s.UDP(ctx, query4(uint16(i), "example.org", typeA, 0), func([]byte) { t.Error("an answer") })
			back <- struct{}{}
		}()
	}
	for range beyond {
		<-back // dropped at once
	}
	waitFor(t, func() bool { return s.flights.waiting() == maxDatagrams })
	cancel()
	for range maxDatagrams {
		<-back
	}
}
