package cli

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"

	"rl/run"
)

// bars draws one bar a layer on a terminal, and says nothing elsewhere. The
// methods of a nil *bars do nothing.
type bars struct {
	p *mpb.Progress
}

func newBars(out *os.File) *bars {
	if _, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS); err != nil {
		return &bars{}
	}
	return &bars{p: mpb.New(mpb.WithOutput(out), mpb.WithWidth(40))}
}

// end draws the last state. A bar whose layer never came to its end holds nobody up.
func (b *bars) end() {
	if b != nil && b.p != nil {
		b.p.Shutdown()
	}
}

// Layer begins a bar.
func (b *bars) Layer(d digest.Digest, size int64) run.LayerProgress {
	if b == nil || b.p == nil {
		return &bar{}
	}
	l := &bar{size: size}
	l.state.Store("downloading and unpacking")
	// A bar that is made with a total ends by reaching it, and in no other way.
	l.Bar = b.p.AddBar(0,
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("%.12s ", d.Encoded()))),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f "), decor.Any(func(decor.Statistics) string { return l.state.Load().(string) })))
	l.SetTotal(size, false)
	return l
}

// bar is one layer's. Its counter is what was handed to the unpacker, so it
// stands for both: the download cannot run ahead further than a pipe is long.
type bar struct {
	*mpb.Bar
	size  int64
	state atomic.Value
}

func (b *bar) Add(n int) {
	if b.Bar != nil {
		b.IncrBy(n)
	}
}

func (b *bar) Unpacking() { b.state.Store("unpacking") }

func (b *bar) Done(hit bool, err error) {
	switch {
	case err != nil:
		b.state.Store("failed")
	case hit:
		b.state.Store("already there")
	default:
		b.state.Store("complete")
	}
	if b.Bar == nil {
		return
	}
	if err != nil {
		b.Abort(false)
		return
	}
	b.SetTotal(b.size, true)
}
