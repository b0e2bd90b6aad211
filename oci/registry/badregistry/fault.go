package badregistry

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Fault is one way to fail. The zero value of each field leaves that alone;
// several can be set at once.
type Fault struct {
	On    string // which GETs: those with this in their path; "" is all
	Skip  int    // spare this many first
	Times int    // how many requests it happens to; 0 is every one

	// Instead of an answer.
	Status     int    // answer with this status
	RetryAfter string // and this Retry-After
	Body       string // and this body
	Redirect   string // send it to this address (with the path appended)
	Hang       bool   // answer nothing until the client goes

	// The answer, spoilt.
	CutAfter     int64         // cut the connection after so many bytes of body; 0 with Cut: at once
	Cut          bool          // cut the connection
	Wrong        bool          // other bytes, of the same length
	Truncate     int           // leave out so many bytes at the end, Content-Length to fit
	Extra        int           // add so many bytes at the end, Content-Length to fit
	Length       int64         // add this to Content-Length, and only there
	Chunked      bool          // no Content-Length
	IgnoreRange  bool          // send it from the start with 200
	RefuseRange  bool          // 416 to any Range
	ContentRange string        // this Content-Range, whatever is sent
	Pause        time.Duration // a slow trickle: pause before each Chunk
	Chunk        int           // bytes between pauses; default 1024
	Header       http.Header   // set these headers

	seen, done int
}

// Break adds a fault. Of several that fit a request the first happens.
func (r *Registry) Break(f Fault) {
	r.mu.Lock()
	r.faults = append(r.faults, &f)
	r.mu.Unlock()
}

// Mend removes all faults.
func (r *Registry) Mend() {
	r.mu.Lock()
	r.faults = nil
	r.mu.Unlock()
}

// fault finds what happens to a request.
func (r *Registry) fault(req *http.Request) *Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.faults {
		if !strings.Contains(req.URL.Path, f.On) || f.Times > 0 && f.done >= f.Times {
			continue
		}
		if f.seen++; f.seen <= f.Skip {
			continue
		}
		f.done++
		return f
	}
	return nil
}

// refuse does what is done instead of an answer.
func (f *Fault) refuse(w http.ResponseWriter, req *http.Request) bool {
	switch {
	case f.Hang:
		<-req.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Redirect != "":
		http.Redirect(w, req, f.Redirect+req.URL.Path, http.StatusTemporaryRedirect)
	case f.Status != 0:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		for k, v := range f.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(f.Status)
		_, _ = w.Write([]byte(f.Body))
	case f.RefuseRange && req.Header.Get("Range") != "":
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
	default:
		return false
	}
	return true
}

// serve sends an answer, spoilt.
func (f *Fault) serve(w http.ResponseWriter, req *http.Request, code int, body []byte) {
	body = f.spoil(body)
	whole := len(body)
	if first, last, ok := byteRange(req.Header.Get("Range"), whole); ok && code == http.StatusOK && !f.IgnoreRange {
		code = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, whole))
		body = body[first : last+1]
	}
	if f.ContentRange != "" && code == http.StatusPartialContent {
		w.Header().Set("Content-Range", f.ContentRange)
	}
	w.Header().Set("Content-Length", strconv.FormatInt(int64(len(body))+f.Length, 10))
	if f.Chunked {
		w.Header().Del("Content-Length")
	}
	for k, v := range f.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(code)
	cut := f.Cut || f.CutAfter > 0
	if cut {
		body = body[:min(f.CutAfter, int64(len(body)))]
	}
	f.send(w, body)
	if cut || f.Length > 0 {
		panic(http.ErrAbortHandler)
	}
}

func (f *Fault) spoil(body []byte) []byte {
	switch {
	case f.Wrong:
		body = bytes.Repeat([]byte{'!'}, len(body))
	case f.Truncate > 0:
		body = body[:max(0, len(body)-f.Truncate)]
	case f.Extra > 0:
		body = append(bytes.Clone(body), make([]byte, f.Extra)...)
	}
	return body
}

// send writes what there is, slowly if wanted, and sees that it leaves.
func (f *Fault) send(w http.ResponseWriter, body []byte) {
	flush := http.NewResponseController(w).Flush
	_ = flush()
	chunk := len(body)
	if f.Pause > 0 {
		chunk = max(f.Chunk, 0)
		if chunk == 0 {
			chunk = 1024
		}
	}
	for len(body) > 0 {
		time.Sleep(f.Pause)
		n := min(chunk, len(body))
		if _, err := w.Write(body[:n]); err != nil {
			return
		}
		_ = flush()
		body = body[n:]
	}
}

// byteRange reads "bytes=first-last" and "bytes=first-".
func byteRange(s string, size int) (first, last int, ok bool) {
	s, ok = strings.CutPrefix(s, "bytes=")
	from, to, _ := strings.Cut(s, "-")
	first, err := strconv.Atoi(from)
	if to == "" {
		last = size - 1
	} else if last, _ = strconv.Atoi(to); last >= size {
		last = size - 1
	}
	return first, last, ok && err == nil && first <= last
}
