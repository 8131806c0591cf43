package meta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	metav1 "github.com/almadia/almadia/gen/go/almadia/meta/v1"
	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/protobuf/proto"
)

// hand drives a machine as its replica does: it takes, binds and applies.
type hand struct {
	t    *testing.T
	m    *Machine
	seen []storage.Index // versions that were published
	at   storage.Index
	next storage.Offset
}

func newHand(t *testing.T) *hand {
	h := &hand{t: t}
	h.m = NewMachine(func(im *Image) { h.seen = append(h.seen, im.Version) })
	return h
}

// commit applies a proposal at the next index.
func (h *hand) commit(p *raft.Proposal) error {
	h.at++
	header := batch.Seal(p.Frame, batch.Binding{BaseOffset: h.next, Term: 1, Index: h.at})
	h.next = header.NextOffset()
	err := h.m.Apply(raft.Applied{Header: header, Proposal: p, Payload: func() ([]byte, error) {
		return header.Payload(p.Frame), nil
	}})
	p.Buffer.Release()
	return err
}

func (h *hand) commitAll() {
	h.t.Helper()
	for _, p := range h.m.Take(1 << 20) {
		if err := h.commit(p); err != nil {
			h.t.Fatal(err)
		}
	}
}

// outcome of a Propose that runs beside the test.
type outcome struct {
	done  bool
	image *Image
	err   error
}

func (h *hand) propose(ctx context.Context, cmd *metav1.Command) *outcome {
	o := &outcome{}
	go func() {
		o.image, o.err = h.m.Propose(ctx, cmd)
		o.done = true
	}()
	synctest.Wait()
	return o
}

var (
	leading = raft.Leadership{Leader: 1, Term: 1, Leading: true, Ready: true}
	elected = raft.Leadership{Leader: 1, Term: 1, Leading: true}
)

func TestProposeReturnsWhenApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		h.m.Lead(leading)
		first := h.propose(t.Context(), InitCluster("c1"))
		second := h.propose(t.Context(), InitCluster("c2"))
		if first.done || second.done || h.m.Image().ClusterID != "" {
			t.Fatal("a command is answered, or shows, before it is committed")
		}
		h.commitAll()
		synctest.Wait()
		if !first.done || first.err != nil || first.image.ClusterID != "c1" || first.image.Version != 1 {
			t.Errorf("the first command gives %+v", first)
		}
		if !second.done || !errors.Is(second.err, ErrClusterExists) || second.image.Version != 2 {
			t.Errorf("the refused command gives %+v", second)
		}
		if h.m.Image() != second.image || !slices.Equal(h.seen, []storage.Index{1, 2}) {
			t.Errorf("published %v, and the image is of %d", h.seen, h.m.Image().Version)
		}
	})
}

func TestProposeNeedsALeaderThatIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		for _, l := range []raft.Leadership{{}, {Leader: 2, Term: 1}, elected} {
			h.m.Lead(l)
			if o := h.propose(t.Context(), InitCluster("c")); !errors.Is(o.err, ErrNotReady) {
				t.Errorf("with %+v Propose gives %v", l, o.err)
			}
		}
	})
}

func TestProposeAndTheEndOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		h.m.Lead(leading)
		ctx, cancel := context.WithCancel(t.Context())
		waiting := h.propose(ctx, InitCluster("c1"))
		cancel()
		synctest.Wait()
		if !errors.Is(waiting.err, ErrNotReady) || !errors.Is(waiting.err, context.Canceled) || errors.Is(waiting.err, raft.ErrUnknown) {
			t.Errorf("before the proposal: %v", waiting.err)
		}
		if taken := h.m.Take(1 << 20); len(taken) != 0 {
			t.Errorf("%d withdrawn commands are proposed", len(taken))
		}

		ctx, cancel = context.WithCancel(t.Context())
		taken := h.propose(ctx, InitCluster("c1"))
		proposals := h.m.Take(1 << 20)
		cancel()
		synctest.Wait()
		if !errors.Is(taken.err, raft.ErrUnknown) || !errors.Is(taken.err, context.Canceled) || errors.Is(taken.err, ErrNotReady) {
			t.Errorf("after the proposal: %v", taken.err)
		}
		if err := h.commit(proposals[0]); err != nil || h.m.Image().ClusterID != "c1" {
			t.Errorf("its commit gives %v", err)
		}
	})
}

func TestProposalsThatAreNotCommitted(t *testing.T) {
	for _, c := range []struct {
		err  error
		want error
	}{
		{fmt.Errorf("turn: %w", raft.ErrNotProposed), ErrNotReady},
		{fmt.Errorf("turn: %w", raft.ErrUnknown), raft.ErrUnknown},
		{errors.New("something else"), raft.ErrUnknown},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHand(t)
			h.m.Lead(leading)
			o := h.propose(t.Context(), InitCluster("c"))
			p := h.m.Take(1 << 20)[0]
			p.Buffer.Release()
			p.Fail(c.err)
			synctest.Wait()
			if !errors.Is(o.err, c.want) || errors.Is(o.err, ErrNotReady) && errors.Is(o.err, raft.ErrUnknown) {
				t.Errorf("%v becomes %v", c.err, o.err)
			}
		})
	}
}

func TestLostLeadershipGivesBackWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		h.m.Lead(leading)
		o := h.propose(t.Context(), InitCluster("c"))
		h.m.Lead(raft.Leadership{Leader: 2, Term: 2})
		synctest.Wait()
		if !errors.Is(o.err, ErrNotReady) || len(h.m.Take(1<<20)) != 0 {
			t.Errorf("the command that waits gets %v", o.err)
		}
	})
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		wait := func(ctx context.Context) *error {
			err := errors.New("waits")
			go func() { err = h.m.Ready(ctx) }()
			synctest.Wait()
			return &err
		}
		got := wait(t.Context())
		h.m.Lead(elected)
		synctest.Wait()
		if *got == nil {
			t.Error("ready without an entry of its own term")
		}
		h.m.Lead(leading)
		synctest.Wait()
		if *got != nil {
			t.Errorf("not woken when ready: %v", *got)
		}
		h.m.Lead(raft.Leadership{Term: 2})
		ctx, cancel := context.WithCancel(t.Context())
		got = wait(ctx)
		cancel()
		synctest.Wait()
		if !errors.Is(*got, ErrNotReady) || !errors.Is(*got, context.Canceled) {
			t.Errorf("after the end of its context: %v", *got)
		}
		got = wait(t.Context())
		h.m.Lead(raft.Leadership{})
		synctest.Wait()
		if !errors.Is(*got, ErrNotReady) || !errors.Is(*got, raft.ErrStopped) {
			t.Errorf("after the replica stopped: %v", *got)
		}
	})
}

func TestCommandsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHand(t)
		h.m.Lead(leading)
		for range maxWaiting {
			h.propose(t.Context(), InitCluster("c"))
		}
		if o := h.propose(t.Context(), InitCluster("c")); !errors.Is(o.err, ErrNotReady) {
			t.Errorf("one more gets %v", o.err)
		}
		if n := len(h.m.Take(1)); n != 1 {
			t.Errorf("Take of 1 byte gives %d commands", n)
		}
		h.m.Lead(raft.Leadership{Term: 2})
	})
}

func TestEmptyCommandIsNotWritten(t *testing.T) {
	h := newHand(t)
	h.m.Lead(leading)
	if _, err := h.m.Propose(t.Context(), &metav1.Command{}); !errors.Is(err, ErrInvalidCommand) {
		t.Errorf("error is %v", err)
	}
}

// What cannot be followed stops the replica: a refused command does not, an unknown or
// unreadable one does.
func TestApplyStopsTheReplica(t *testing.T) {
	record := func(values ...[]byte) []byte {
		set := &almadiav1.RecordSet{}
		for _, v := range values {
			set.Records = append(set.Records, &almadiav1.LogRecord{Value: v})
		}
		b, err := proto.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	known, err := proto.Marshal(InitCluster("c"))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("cannot be read")
	for _, c := range []struct {
		name    string
		payload []byte
		err     error
		stops   bool
	}{
		{"a known command", record(known), nil, false},
		{"an unknown command", record([]byte("\xc2\x3e\x00")), nil, true},
		{"no command", record([]byte{}), nil, true},
		{"bytes that are no command", record([]byte("\xff")), nil, true},
		{"bytes that are no records", []byte("\xff"), nil, true},
		{"two records", record(known, known), nil, true},
		{"no record", nil, nil, true},
		{"a payload that cannot be read", nil, broken, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHand(t)
			err := h.m.Apply(raft.Applied{
				Header:  batch.Header{Kind: batch.Records, Index: 1},
				Payload: func() ([]byte, error) { return c.payload, c.err },
			})
			if (err != nil) != c.stops {
				t.Errorf("Apply gives %v", err)
			}
			if c.stops && h.m.Image().Version != 0 {
				t.Error("the image moved")
			}
		})
	}
	h := newHand(t)
	if err := h.m.Apply(raft.Applied{Header: batch.Header{Kind: batch.Noop, Index: 1}}); err != nil {
		t.Errorf("an entry without records gives %v", err)
	}
}
