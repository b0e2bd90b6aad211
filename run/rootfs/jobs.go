package rootfs

import "sync"

// jobs is the stack of directories still to be made. A stack, not a queue: going
// deep first keeps it short.
type jobs struct {
	mu      sync.Mutex
	wake    *sync.Cond
	todo    []job
	running int
	err     error // the first; ends everything
}

func (q *jobs) push(j job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.todo = append(q.todo, j)
	if q.wake != nil {
		q.wake.Signal()
	}
}

// pop waits for a job; false when there will be none.
func (q *jobs) pop() (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wake == nil {
		q.wake = sync.NewCond(&q.mu)
	}
	for len(q.todo) == 0 && q.running > 0 && q.err == nil {
		q.wake.Wait()
	}
	if len(q.todo) == 0 || q.err != nil {
		q.wake.Broadcast()
		return job{}, false
	}
	j := q.todo[len(q.todo)-1]
	q.todo = q.todo[:len(q.todo)-1]
	q.running++
	return j, true
}

// done ends a job that pop gave.
func (q *jobs) done(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	if q.err == nil {
		q.err = err
	}
	q.wake.Broadcast()
}

// links remembers where the first name of a file with several was copied to.
type links struct {
	mu   sync.Mutex
	made map[linkKey]*link
}

type linkKey struct {
	layer int
	dev   uint64
	ino   uint64
}

type link struct {
	path string        // of the first name, relative to the copy's root
	done chan struct{} // closed when it is there
	err  error
}

// claim gives the link of an inode, and whether the caller is to make it.
func (l *links) claim(k linkKey, path string) (made *link, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if have, ok := l.made[k]; ok {
		return have, false
	}
	made = &link{path: path, done: make(chan struct{})}
	l.made[k] = made
	return made, true
}
