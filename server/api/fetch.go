package api

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/internal/rawcodec"
)

// maxFetchWait bounds a long poll.
const maxFetchWait = 30 * time.Second

// Fetch reads what is there, and waits for it if asked. Partitions have their turns, and
// another one begins each time, so that none starves behind those before it.
func (s *Service) Fetch(ctx context.Context, in *almadiav1.FetchRequest) (*rawcodec.Frame, error) {
	options, err := checkFetch(in)
	if err != nil {
		return nil, err
	}
	ctx, cancel := answerBefore(ctx, min(in.MaxWait.AsDuration(), maxFetchWait))
	defer cancel()
	defer context.AfterFunc(s.draining, cancel)()

	rs := s.newReaders(options, math.MaxInt)
	defer rs.close()
	for _, p := range in.Partitions {
		rs.add(s.tryOpen(p, &options))
	}
	if n := len(rs.ready); n > 0 {
		first := rand.IntN(n)
		rs.ready = slices.Concat(rs.ready[first:], rs.ready[:first])
	}
	resp := newResponse(&options, 0)
	rs.collect(ctx, resp, int(in.MinBytes))
	if err := rs.tell(resp); err != nil {
		return nil, err
	}
	frame := resp.frame(nil)
	s.metrics.fetched(frame.Len())
	return frame, nil
}

func checkFetch(in *almadiav1.FetchRequest) (readOptions, error) {
	options, err := parseReadOptions(in.Options)
	if err == nil {
		err = checkPlaces(in.Partitions, true)
	}
	switch {
	case err != nil:
	case len(in.Partitions) == 0:
		err = fieldError("partitions", "is required")
	case in.MinBytes < 0:
		err = fieldError("min_bytes", "is %d, must not be negative", in.MinBytes)
	case in.MaxWait != nil && !in.MaxWait.IsValid(), in.MaxWait.AsDuration() < 0:
		err = fieldError("max_wait", "must be a duration from 0 to %v", maxFetchWait)
	default:
		err = checkDistinct(in.Partitions)
	}
	return options, err
}

// tryOpen makes a reader, and opens it if it can be.
func (s *Service) tryOpen(p *almadiav1.PartitionPosition, o *readOptions) (*reader, error) {
	at, err := s.find(p)
	r := newReader(at)
	if err == nil {
		err = s.open(r, p.Position, o)
	}
	return r, err
}

// collect fills the response until it has enough, a partition fails, or ctx ends.
func (rs *readers) collect(ctx context.Context, resp *response, minBytes int) {
	enough := max(1, min(minBytes, resp.bytes))
	for !rs.fill(resp) && resp.cost < enough && rs.failure() == nil && ctx.Err() == nil {
		rs.wait(ctx)
	}
}

// tell puts what readers have to say that have no records into the response. If that is an
// error of each, it returns the first instead.
func (rs *readers) tell(resp *response) error {
	failed := 0
	for _, r := range rs.all {
		if !r.part.empty() {
			continue
		}
		if r.err != nil {
			failed++
		}
		if r.err != nil || r.late {
			resp.tell(r)
		}
	}
	if failed == len(rs.all) {
		return rs.all[0].err
	}
	return nil
}
