package storage

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/almadia/almadia/storage/batch"
)

// appendAt appends a frame at a time, in ms.
func (f *fixture) appendAt(ms int64, unbound []byte) {
	f.t.Helper()
	at := f.log.Next()
	at.Term, at.AppendTime = 1, ms
	f.log.Append(Append{Frames: bind(at, unbound)}, nil)
}

// extents shows the segments as offsets, the last append time, and + if one grows.
func (f *fixture) extents() string {
	var out []string
	for e := range f.log.Extents() {
		s := fmt.Sprintf("%d-%d@%d", e.Base, e.End, e.AppendTime)
		if e.Growing {
			s += "+"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func (f *fixture) wantExtents(what, want string) {
	f.t.Helper()
	if got := f.extents(); got != want {
		f.t.Errorf("%s: segments %s, want %s", what, got, want)
	}
}

func noop() []byte               { return batch.Control(batch.Noop, nil) }
func trimFrame(to Offset) []byte { return batch.Control(batch.Trim, batch.TrimPayload(to)) }
func (f *fixture) configure(s Settings) {
	f.t.Helper()
	if err := f.log.Configure(s); err != nil {
		f.t.Fatal(err)
	}
}

func TestASegmentThatIsOldIsFollowedByTheNext(t *testing.T) {
	f := newFixture(t, 0)
	f.configure(Settings{SegmentTime: time.Second})
	f.appendAt(5_000, noop())
	f.appendAt(9_000, noop())
	f.wantExtents("without records it never grows old", "0-0@9000+")
	f.appendAt(9_500, records(1, 10))
	f.wantExtents("nor does the first record end it", "0-1@9500+")
	f.appendAt(9_600, records(1, 10))
	f.wantExtents("it is as old as its first frame", "0-1@9500 1-2@9600+")
	f.appendAt(10_599, records(1, 10))
	f.wantExtents("younger by a millisecond", "0-1@9500 1-3@10599+")
	f.appendAt(10_600, noop())
	f.wantExtents("old enough, for a frame of any kind", "0-1@9500 1-3@10599 3-3@10600+")
	f.reopen()
	f.appendAt(10_700, records(1, 10))
	f.wantExtents("recovered", "0-1@9500 1-3@10599 3-4@10700+")
	f.appendAt(11_600, records(1, 10))
	f.wantExtents("its age is that before the restart", "0-1@9500 1-3@10599 3-4@10700 4-5@11600+")
	f.configure(Settings{})
	f.appendAt(99_000, records(1, 10))
	f.wantExtents("no age any more", "0-1@9500 1-3@10599 3-4@10700 4-6@99000+")
}

func TestConfigureHoldsFromTheNextFrame(t *testing.T) {
	f := newFixture(t, 0)
	for range 3 {
		f.appendAt(1, records(1, 100))
	}
	f.configure(Settings{SegmentBytes: 1})
	f.appendAt(2, records(1, 100))
	f.appendAt(3, records(1, 100))
	f.wantExtents("one frame each", "0-3@1 3-4@2 4-5@3+")
	f.reopen() // with a checkpoint
	if got := f.log.Settings(); got != (Settings{SegmentBytes: 1}) {
		t.Errorf("after a restart %+v", got)
	}
	for _, bad := range []Settings{{SegmentBytes: -1}, {SegmentBytes: 1<<30 + 1}, {SegmentTime: -1}} {
		if err := f.log.Configure(bad); err == nil || f.log.Settings().SegmentBytes != 1 {
			t.Errorf("%+v is taken: %v", bad, err)
		}
	}
}

// A TRIM of all records begins a segment, so that what it gives up goes whole, and its
// files with it; one of fewer does not, and many in a row make no further files.
func TestATrimOfEverythingLeavesNothing(t *testing.T) {
	f := newFixture(t, 0)
	for range 3 {
		f.appendAt(1, records(1, 100))
	}
	f.appendAt(2, trimFrame(2))
	f.wantExtents("some", "0-3@2+")
	gone := f.segmentFiles()
	for range 3 {
		f.appendAt(3, trimFrame(3))
		f.flush()
		f.log.Trim(3, f.log.Last())
		f.wantExtents("all", "3-3@3+")
	}
	f.flush()
	must(t, f.Checkpoint())
	for _, path := range gone {
		if there, err := exists(f.mem, path); there || err != nil {
			t.Errorf("%s is there, %v", path, err)
		}
	}
	if names, err := f.mem.ReadDir("data/logs/7-1"); err != nil || len(names) != 1 {
		t.Errorf("files %v, %v", names, err)
	}
}

// A checkpoint is taken between a trim and its sync: it must not hold that the TRIM frame
// is applied, or the trim would be forgotten with the power.
func TestATrimIsNotForgottenByACheckpoint(t *testing.T) {
	f := newFixture(t, 0)
	f.appendAt(1, records(3, 100))
	f.appendAt(2, trimFrame(2))
	f.flush()
	f.log.Trim(2, 2)
	if c := f.log.durable.withCommit(f.log); c.hard.Commit != 0 || c.head.start != 0 {
		t.Errorf("before the sync: commit %d, start %d", c.hard.Commit, c.head.start)
	}
	f.flush()
	if c := f.log.durable.withCommit(f.log); c.hard.Commit != 2 || c.head.start != 2 {
		t.Errorf("after the sync: commit %d, start %d", c.hard.Commit, c.head.start)
	}
}

func TestExtentsAreThoseOfOneMoment(t *testing.T) {
	f := newFixture(t, 150)
	for i := range int64(3) {
		f.appendAt(i, records(2, 50))
	}
	before := f.log.Extents()
	f.log.Trim(4, 3)
	var ends []Offset
	size := int64(0)
	for e := range before {
		ends = append(ends, e.End)
		size += e.Bytes
	}
	if want := []Offset{2, 4, 6}; !slices.Equal(ends, want) {
		t.Errorf("segments end at %v, want %v", ends, want)
	}
	for e := range f.log.Extents() {
		if e.Base != 4 || e.Bytes != f.log.SizeBytes() || size != 3*e.Bytes {
			t.Errorf("left is %+v of %d bytes, it was %d", e, f.log.SizeBytes(), size)
		}
	}
}
