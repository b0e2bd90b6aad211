package dns

import (
	"context"
	"sync"
)

// flights are the questions that are being asked. Who wants to know the same waits
// for the same answer.
type flights struct {
	mu  sync.Mutex
	air map[string]*flight
}

type flight struct {
	waiting int
	cancel  context.CancelFunc
	landed  chan struct{} // closed when the rest is set
	answer  *answer       // shared: not to be changed
	err     error
}

// do calls work, unless it is being called for the same key, and gives its result. Work
// goes on as long as anybody waits for it, and has a context of its own for that.
func (f *flights) do(ctx context.Context, key string, work func(context.Context) (*answer, error)) (*answer, error) {
	f.mu.Lock()
	fl := f.air[key]
	if fl == nil {
		fl = &flight{landed: make(chan struct{})}
		var own context.Context
		own, fl.cancel = context.WithCancel(context.Background())
		if f.air == nil {
			f.air = map[string]*flight{}
		}
		f.air[key] = fl
		go func() {
			fl.answer, fl.err = work(own)
			f.mu.Lock()
			f.forget(key, fl) // before anybody knows the answer: who asks again then, asks anew
			f.mu.Unlock()
			close(fl.landed)
		}()
	}
	fl.waiting++
	f.mu.Unlock()

	select {
	case <-fl.landed:
		return fl.answer, fl.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl.waiting--; fl.waiting == 0 {
		f.forget(key, fl)
	}
	return nil, ctx.Err()
}

// forget ends a flight, which has landed or which nobody waits for. By then there
// may be another of its key.
func (f *flights) forget(key string, fl *flight) {
	fl.cancel()
	if f.air[key] == fl {
		delete(f.air, key)
	}
}
