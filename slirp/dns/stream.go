package dns

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// TCP serves a connection until the client ends it or the context does, or until
// nothing has come or gone for a while, and closes it. Queries are answered side by
// side, in the order in which the answers come (RFC 7766).
func (s *Server) TCP(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	select {
	case s.conns <- struct{}{}:
		defer func() { <-s.conns }()
	default:
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	idle := time.AfterFunc(s.pace.idle, cancel)
	defer idle.Stop()

	var writing sync.Mutex
	var serving sync.WaitGroup
	defer serving.Wait() // also when the client has closed its side only
	pipelined := make(chan struct{}, maxPipelined)
	for {
		query, err := readMessage(conn)
		if err != nil {
			return
		}
		idle.Reset(s.pace.idle)
		if !enter(ctx, pipelined) {
			return
		}
		serving.Go(func() {
			defer func() { <-pipelined }()
			if !enter(ctx, s.streamed) {
				return
			}
			m := s.serve(ctx, "tcp", query)
			<-s.streamed
			if m == nil {
				cancel() // a client that sends nonsense in a stream has lost its place in it
				return
			}
			writing.Lock()
			defer writing.Unlock()
			if writeMessage(conn, m) != nil {
				cancel()
			}
			idle.Reset(s.pace.idle)
		})
	}
}

// enter waits for a place.
func enter(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// readMessage reads a message with its length before it.
func readMessage(r io.Reader) ([]byte, error) {
	var n [2]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	var m bytes.Buffer // grows by what comes, not by what is announced
	_, err := io.CopyN(&m, r, int64(be.Uint16(n[:])))
	return m.Bytes(), err
}

// writeMessage writes both at once: some clients expect them in one segment.
func writeMessage(w io.Writer, m []byte) error {
	b := be.AppendUint16(make([]byte, 0, 2+len(m)), uint16(len(m)))
	_, err := w.Write(append(b, m...))
	return err
}
