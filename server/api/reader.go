package api

import (
	"errors"
	"fmt"
	"math"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

const (
	// turnBytes is what a reader takes before the next one has its turn.
	turnBytes = 256 << 10
	// noEnd is the end of a reader that follows its partition.
	noEnd = storage.Offset(math.MaxInt64)
)

// errFull: what comes next has no room in this response, but may be the first of another.
var errFull = errors.New("response is full")

// reader reads one partition for a Fetch, a Tail or a Consume. It is used by one goroutine.
type reader struct {
	spot
	index     int // among the readers of its call
	partition *partition.Partition
	next      storage.Offset // to read
	end       storage.Offset // records from here on are left alone
	cursor    storage.Cursor
	view      partition.View // of the last read
	err       error          // it reads no more, unless it is moved
	late      bool           // it began at, or near, an end that moves, and nobody knows where; see fromEnd
	paused    bool           // it has no turns
	queued    bool           // in readers.ready
	noted     bool           // in readers.news
	part      part           // of the response that is being made
	expanded  *expanded      // shared by the readers of a call
}

// newReader makes a reader that is not open.
func newReader(at spot) *reader { return &reader{spot: at, end: noEnd, expanded: &expanded{}} }

// part is what a response has of one partition: runs of encoded records or batches, or why
// there are none, or only where to read on.
type part struct {
	runs  []*batch.Buffer
	bytes int // of runs
	error *almadiav1.ErrorDetail
	place bool // where to read on is told without records, even with an error
}

func (p *part) empty() bool { return p.bytes == 0 && p.error == nil && !p.place }

func (p *part) release() {
	for _, b := range p.runs {
		b.Release()
	}
	*p = part{}
}

// open finds the reader's partition, which must be led here, and where to begin: a checked
// position.
func (s *Service) open(r *reader, position *almadiav1.Position, o *readOptions) (err error) {
	if r.partition, err = s.partitionHere(r.spot); err != nil {
		return err
	}
	if err := r.partition.Ready(); err != nil {
		return r.failed(err)
	}
	r.next, err = resolve(r.partition, position)
	r.view = r.partition.View()
	if err == nil {
		err = inRange(r.next, r.view)
	}
	r.late = fromEnd(position)
	if offset, ok := o.resetTo(err); ok {
		r.next, r.late, err = offset, offset == r.view.HighWatermark, nil
	}
	if err != nil {
		return r.failed(err)
	}
	return nil
}

func inRange(at storage.Offset, v partition.View) error {
	if at < v.LogStart || at > v.HighWatermark {
		return &partition.OutOfRangeError{Asked: at, Start: v.LogStart, End: v.HighWatermark}
	}
	return nil
}

// failed wraps an error of the reader's partition.
func (r *reader) failed(err error) error { return fmt.Errorf("read %v: %w", r.spot, err) }

// done tells whether the reader has come to its end.
func (r *reader) done() bool { return r.next >= r.end }

// caughtUp tells whether the last read saw nothing beyond.
func (r *reader) caughtUp() bool { return r.next >= r.view.HighWatermark }

// space is what a turn may take.
type space struct {
	bytes   int // of encoded records or batches
	first   int // what the first one may need instead, where it is the first of the response; else 0
	records int // stop after so many
}

// limit is the bound in bytes when n records have been taken.
func (s space) limit(n int) int {
	if n == 0 {
		return max(s.bytes, s.first)
	}
	return s.bytes
}

// noRoom is the error when the first one needs more.
func (s space) noRoom(required int) error {
	if s.first == 0 {
		return errFull
	}
	return &tightError{Required: required, Limit: s.first}
}

// turn moves what comes next, turnBytes at most, into the reader's part. It returns the
// number of records, 0 at the end of the partition. Errors: errFull, *tightError, those of
// partition.Read, and *compress.BatchError if what comes next is such a batch.
func (r *reader) turn(o *readOptions, room space) (int, error) {
	for !r.done() {
		run, err := r.read(o, max(1, min(room.bytes, turnBytes)))
		if run == nil {
			return 0, err
		}
		if n, err := r.take(run, o, room); n > 0 || err != nil {
			return n, err
		}
		// There were only control frames, and the cursor is past them.
	}
	return 0, nil
}

// read reads whole frames, nil at the end of the partition.
func (r *reader) read(o *readOptions, bytes int) (run *batch.Buffer, err error) {
	run = batch.NewBuffer(bytes)
	run.B, r.view, err = r.partition.Read(&r.cursor, r.next, bytes, run.B)
	if to, ok := o.resetTo(err); ok {
		r.next = to
		run.B, r.view, err = r.partition.Read(&r.cursor, r.next, bytes, run.B[:0])
		r.late = to == r.view.HighWatermark
	}
	if err != nil || len(run.B) == 0 {
		run.Release()
		return nil, err
	}
	return run, nil
}

// take makes a run of frames, which it takes over, what the reader has next for the response.
func (r *reader) take(run *batch.Buffer, o *readOptions, room space) (n int, err error) {
	var next storage.Offset
	var required int
	batches, whole := o.format == almadiav1.RecordFormat_RECORD_FORMAT_BATCHES, run.B
	if batches {
		next, n, required, err = r.cut(run, o.accepts, room)
	}
	if !batches || n == 0 && required == 0 && err == nil && len(run.B) < len(whole) {
		out := batch.NewBuffer(min(sizeHint(whole), room.limit(0)))
		if batches {
			next, n, required, err = r.reframe(out, whole, o.accepts, room)
		} else {
			next, n, required, err = r.splice(out, whole, o.format == almadiav1.RecordFormat_RECORD_FORMAT_TEXT, room)
		}
		run.Release()
		run = out
	}
	if err == nil && n == 0 && required > 0 {
		err = room.noRoom(required)
	}
	if err != nil || n == 0 {
		run.Release()
		return 0, err
	}
	run = fitted(run)
	r.next = next
	r.part.runs = append(r.part.runs, run)
	r.part.bytes += len(run.B)
	return n, nil
}

// fitted moves a short run into a buffer of its size. It may wait long to be sent: a few
// records for each of a thousand slow readers must not hold a whole turn's buffer each.
func fitted(run *batch.Buffer) *batch.Buffer {
	const share = 4
	if share*len(run.B) >= cap(run.B) {
		return run
	}
	small := batch.NewBuffer(len(run.B))
	small.B = append(small.B, run.B...)
	run.Release()
	return small
}

// sizeHint guesses what becomes of a run of frames in a response, in bytes.
func sizeHint(run []byte) int {
	size := len(run)
	if h, err := batch.ParseHeader(run); err == nil {
		size = max(size, int(h.Uncompressed))
	}
	return 2 * size
}

// cut cuts a run of stored frames off where the reader, or the room, ends, or before a frame
// that its caller cannot decompress. It returns the offset to go on at, the number of records
// before it, and what the first frame with records needs if it did not fit.
func (r *reader) cut(run *batch.Buffer, accepts batch.Codecs, room space) (next storage.Offset, n, required int, err error) {
	end := 0
	next = r.next
	for end < len(run.B) && n < room.records {
		h, err := batch.ParseHeader(run.B[end:])
		if err != nil {
			return next, 0, 0, err
		}
		if h.BaseOffset >= r.end || !accepts.Has(h.Codec) {
			break
		}
		if end+h.Size > room.limit(n) {
			required = end + h.Size
			break
		}
		end += h.Size
		n += int(h.RecordCount)
		next = h.NextOffset()
	}
	run.B = run.B[:end]
	return next, n, required, nil
}

// reframe appends a run of stored frames to out, up to where the reader, or the room, ends:
// those that its caller cannot decompress expanded, the others as they are. Results as those of
// cut.
func (r *reader) reframe(out *batch.Buffer, run []byte, accepts batch.Codecs, room space) (next storage.Offset, n, required int, err error) {
	next = r.next
	for len(run) > 0 && n < room.records {
		h, err := batch.ParseHeader(run)
		if err != nil {
			return next, 0, 0, err
		}
		if h.BaseOffset >= r.end {
			break
		}
		frame := run[:h.Size]
		if !accepts.Has(h.Codec) {
			if n > 0 && len(out.B) >= turnBytes {
				break
			}
			if frame, _, err = r.expanded.expand(r.partition, frame, h); err != nil {
				return next, n, 0, unless(n > 0, err)
			}
		}
		if len(out.B)+len(frame) > room.limit(n) {
			required = len(out.B) + len(frame)
			break
		}
		out.B = append(out.B, frame...)
		n += int(h.RecordCount)
		next = h.NextOffset()
		run = run[h.Size:]
		if !accepts.Has(h.Codec) {
			r.expanded.release()
		}
	}
	return next, n, required, nil
}

// unless is the error of a frame, unless there are records before it: those come first.
func unless(records bool, err error) error {
	if records {
		return nil
	}
	return err
}

// splice appends the records of a run of stored frames to out, up to where the reader, or
// the room, ends. Results as those of cut.
func (r *reader) splice(out *batch.Buffer, run []byte, text bool, room space) (next storage.Offset, n, required int, err error) {
	splice := batch.Splice{Text: text}
	next = r.next
	for len(run) > 0 && n < room.records {
		h, err := batch.ParseHeader(run)
		if err != nil {
			return next, 0, 0, err
		}
		if h.BaseOffset >= r.end {
			break
		}
		frame, plain := run[:h.Size], h
		if h.Codec != batch.None {
			if n > 0 && len(out.B) >= turnBytes {
				break
			}
			if frame, plain, err = r.expanded.expand(r.partition, frame, h); err != nil {
				return next, n, 0, unless(n > 0, err)
			}
		}
		if h.Kind == batch.Records {
			var k int
			out.B, next, k, required, err = splice.Append(out.B, frame, plain, next, room.bytes, room.records-n)
			if n == 0 && k == 0 && required > 0 && required <= room.first {
				out.B, next, k, required, err = splice.Append(out.B, frame, plain, next, room.first, 1)
			}
			if err != nil {
				return next, 0, 0, err
			}
			n += k
			if next < h.NextOffset() {
				break // no room for the rest; smaller records of later frames must not overtake it
			}
		}
		if h.Codec != batch.None {
			r.expanded.release()
		}
		run = run[h.Size:]
	}
	return next, n, required, nil
}
