package dns

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"
)

// maxForeign is how many datagrams that answer something else are passed over. More
// are an attempt to guess the id.
const maxForeign = 64

// exchange asks the resolvers: the first, and each next one as well when the one before
// has been silent for a while or has failed. Whoever knows first is right;
// a slow resolver is still listened to. Of those that only said that they cannot
// tell, the last is believed.
func (s *Server) exchange(ctx context.Context, network string, q *query, ups []netip.AddrPort) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.pace.total)
	defer cancel()
	type result struct {
		*answer
		err error
	}
	results := make(chan result, len(ups))
	again := s.pace.next * time.Duration(len(ups))
	asked, open := 0, 0
	ask := func() {
		to := ups[asked].String()
		asked, open = asked+1, open+1
		go func() {
			a, err := s.ask(ctx, network, to, q, again)
			if err != nil {
				err = fmt.Errorf("resolver %s: %w", to, err)
			}
			results <- result{a, err}
		}()
	}
	patience := time.NewTicker(s.pace.next)
	defer patience.Stop()
	var unhelpful *answer
	var err error
	for ask(); open > 0; {
		select {
		case <-patience.C:
		case r := <-results:
			open--
			switch {
			case r.err != nil:
				err = r.err
			case !r.unhelpful():
				return r.answer, nil
			default:
				unhelpful = r.answer
			}
		case <-ctx.Done():
			if unhelpful != nil {
				return unhelpful, nil
			}
			return nil, errors.New("no resolver of the host answers")
		}
		if asked < len(ups) {
			ask()
			patience.Reset(s.pace.next)
		}
	}
	if unhelpful != nil {
		return unhelpful, nil
	}
	return nil, err
}

// ask asks one resolver. By UDP the question is repeated, since it may be lost.
func (s *Server) ask(ctx context.Context, network, to string, q *query, again time.Duration) (*answer, error) {
	conn, err := s.Dial(ctx, network, to)
	if err != nil {
		return nil, plain(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	var id [2]byte
	rand.Read(id[:])
	m := slices.Clone(q.raw)
	copy(m, id[:])
	var a *answer
	if network == "udp" {
		a, err = askUDP(conn, q, m, again)
	} else {
		a, err = askTCP(conn, q, m)
	}
	if err != nil && ctx.Err() != nil {
		return nil, errors.New("no answer")
	}
	return a, plain(err)
}

func askUDP(conn net.Conn, q *query, m []byte, again time.Duration) (*answer, error) {
	// Servers have been seen to exceed what a client said it takes.
	b := make([]byte, max(q.size, 1500)+1)
	for foreign := 0; ; {
		if _, err := conn.Write(m); err != nil {
			return nil, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(again)); err != nil {
			return nil, err
		}
		for {
			n, err := conn.Read(b)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return nil, err
			}
			if n == len(b) { // the kernel cut it
				b[2] |= flagTruncated >> 8
			}
			a, err := understand(q, be.Uint16(m), b[:n])
			if err != errForeign {
				return a, err
			}
			if foreign++; foreign == maxForeign {
				return nil, errors.New("too many wrong answers")
			}
		}
	}
}

func askTCP(conn net.Conn, q *query, m []byte) (*answer, error) {
	if err := writeMessage(conn, m); err != nil {
		return nil, err
	}
	b, err := readMessage(conn)
	if err != nil {
		return nil, err
	}
	return understand(q, be.Uint16(m), b)
}

// plain is an error without the addresses that Go's net repeats in it.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("closed the connection")
	}
	return err
}
