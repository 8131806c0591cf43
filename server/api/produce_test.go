package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/grpc/codes"
)

// fate is what a partition does with a write before the deadline.
type fate func(p *partition.Partition)

func queued(*partition.Partition)      {}                  // raft does not have it yet
func proposed(p *partition.Partition)  { p.Take(1 << 20) } // raft has it, and says nothing
func deposed(p *partition.Partition)   { p.Lead(raft.Leadership{Leader: 2, Term: 8}) }
func stopped(p *partition.Partition)   { p.Lead(raft.Leadership{}) }
func forgotten(p *partition.Partition) { p.Take(1 << 20)[0].Fail(raft.ErrNotProposed) }
func lost(p *partition.Partition)      { p.Take(1 << 20)[0].Fail(raft.ErrUnknown) }
func broken(p *partition.Partition)    { p.Take(1 << 20)[0].Fail(errors.New("what nobody thought of")) }

func committed(p *partition.Partition) {
	proposal := p.Take(1 << 20)[0]
	h := batch.Seal(proposal.Frame, batch.Binding{AppendTime: 1_000, Term: 7, Index: 1})
	if err := p.Apply(raft.Applied{Header: h, Proposal: proposal}); err != nil {
		panic(err)
	}
}

// ledPartition is a partition that takes writes, and waits for its fate.
func ledPartition(number int) *partition.Partition {
	p := partition.New(storage.LogID(number+1), 1<<20)
	p.Lead(raft.Leadership{Leader: 1, Term: 7, Leading: true, Ready: true})
	return p
}

// writeTo is the write of the record of that number to the partition of that number.
func writeTo(p *partition.Partition, number int) *write {
	buffer := batch.NewBuffer(1_000)
	buffer.B = append(buffer.B[:batch.HeaderRoom], "\n\x03\x12\x01x"...)
	return &write{
		partition: int32(number), target: p, records: []int32{int32(number)}, count: 1,
		batch: partition.Write{Buffer: buffer, PayloadAt: batch.HeaderRoom, Count: 1, PayloadCRC: batch.CRC(buffer.B[batch.HeaderRoom:]), Mergeable: true},
	}
}

// writeRecords writes the records 0, 1, ... each to a partition of its own that meets a fate,
// and then the deadline.
func writeRecords(t *testing.T, fates ...fate) error {
	t.Helper()
	var writes []*write
	for i := range fates {
		writes = append(writes, writeTo(ledPartition(i), i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	d := newDelivery(&meta.Topic{Name: "demo"}, writes)
	settled := d.start()
	for i, f := range fates {
		f(writes[i].target)
	}
	return d.await(ctx, settled)
}

func TestTheEndOfAWriteTellsWhatBecameOfIt(t *testing.T) {
	const (
		noLeader = almadiav1.ErrorReason_ERROR_REASON_NO_LEADER
		notReady = almadiav1.ErrorReason_ERROR_REASON_BROKER_NOT_READY
		unknown  = almadiav1.ErrorReason_ERROR_REASON_OUTCOME_UNKNOWN
		partly   = almadiav1.ErrorReason_ERROR_REASON_PARTIALLY_WRITTEN
	)
	for name, c := range map[string]struct {
		fates           []fate
		code            codes.Code
		reason          almadiav1.ErrorReason
		written, failed []int32 // partitions, as the failure tells
	}{
		"committed":                          {[]fate{committed}, codes.OK, 0, nil, nil},
		"all committed":                      {[]fate{committed, committed}, codes.OK, 0, nil, nil},
		"deadline before the proposal":       {[]fate{queued}, codes.Unavailable, notReady, nil, nil},
		"deadline after the proposal":        {[]fate{proposed}, codes.Aborted, unknown, nil, []int32{0}},
		"leadership lost before":             {[]fate{deposed}, codes.Unavailable, noLeader, nil, nil},
		"leadership lost at the proposal":    {[]fate{forgotten}, codes.Unavailable, noLeader, nil, nil},
		"leadership lost after":              {[]fate{lost}, codes.Aborted, unknown, nil, []int32{0}},
		"stopped before":                     {[]fate{stopped}, codes.Unavailable, notReady, nil, nil},
		"an error that nobody thought of":    {[]fate{broken}, codes.Aborted, unknown, nil, []int32{0}},
		"none of two":                        {[]fate{queued, deposed}, codes.Unavailable, notReady, nil, nil},
		"the first of two":                   {[]fate{committed, queued}, codes.Aborted, partly, []int32{0}, []int32{1}},
		"the second of three":                {[]fate{stopped, committed, queued}, codes.Aborted, partly, []int32{1}, []int32{0, 2}},
		"one of two, the other unknown":      {[]fate{committed, proposed}, codes.Aborted, unknown, []int32{0}, []int32{1}},
		"one unknown, the other not written": {[]fate{queued, lost}, codes.Aborted, unknown, nil, []int32{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			err := writeRecords(t, c.fates...)
			if c.code == codes.OK {
				if err != nil {
					t.Error(err)
				}
				return
			}
			f := failureOf(err)
			if f.status.Code() != c.code || detailOf(err).Reason != c.reason {
				t.Fatalf("ended as %v, %v", f.status, detailOf(err).Reason)
			}
			var told *almadiav1.ProduceFailure
			for _, d := range f.status.Details() {
				if d, ok := d.(*almadiav1.ProduceFailure); ok {
					told = d
				}
			}
			if (told != nil) != (c.code == codes.Aborted) || told.GetTruncated() {
				t.Fatalf("told %v", told)
			}
			if len(told.GetWritten()) != len(c.written) || len(told.GetFailed()) != len(c.failed) {
				t.Fatalf("told %v", told)
			}
			for i, w := range told.GetWritten() {
				if w.GetPartition() != c.written[i] || w.RecordIndexes[0] != c.written[i] || w.RecordCount != 1 {
					t.Errorf("written: %v, want partition %d", w, c.written[i])
				}
			}
			for i, w := range told.GetFailed() {
				if w.GetPartition() != c.failed[i] || w.RecordIndexes[0] != c.failed[i] || w.Error.GetReason() == 0 {
					t.Errorf("failed: %v, want partition %d", w, c.failed[i])
				}
			}
		})
	}
}

// A write that was taken back is gone: a later turn of raft does not find it.
func TestWhatIsUnavailableIsNotWrittenLater(t *testing.T) {
	var p *partition.Partition
	err := writeRecords(t, func(it *partition.Partition) { p = it })
	if !errors.Is(err, errBehind) {
		t.Fatal(err)
	}
	if late := p.Take(1 << 20); len(late) != 0 {
		t.Errorf("%d frames are proposed after the refusal", len(late))
	}
}

func TestAnswersLeaveBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ left, want time.Duration }{
			{0, writeTimeout}, // no deadline
			{100 * time.Millisecond, 90 * time.Millisecond},
			{10 * time.Second, 9900 * time.Millisecond},
			{time.Hour, writeTimeout},
		} {
			ctx := t.Context()
			if c.left > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.left)
				defer cancel()
			}
			ctx, cancel := answerBefore(ctx, writeTimeout)
			defer cancel()
			deadline, _ := ctx.Deadline()
			if left := time.Until(deadline); left != c.want {
				t.Errorf("%v left: answered after %v, want %v", c.left, left, c.want)
			}
		}
	})
}
