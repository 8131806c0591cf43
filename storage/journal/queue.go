package journal

import "slices"

// submission is one call of Submit or Barrier.
type submission struct {
	records int   // of its own, in the queue
	room    int64 // bounds their encoded size, in bytes
	barrier bool
	lsn     LSN // of its block, once written
	done    func(LSN, error)
}

// queue holds submissions and their records, in order. Its slices are used again.
type queue struct {
	subs    []submission
	records []Record
}

// maxIdleRecords bounds the records whose room an empty queue keeps.
const maxIdleRecords = 1 << 14

func (q *queue) add(s submission, records []Record) {
	q.subs = append(q.subs, s)
	q.records = append(q.records, records...)
}

// join moves all of another queue to the end of this one.
func (q *queue) join(other *queue) {
	q.subs = append(q.subs, other.subs...)
	q.records = append(q.records, other.records...)
	other.reset()
}

func (q *queue) reset() {
	if cap(q.records) > maxIdleRecords {
		*q = queue{}
		return
	}
	clear(q.subs)
	clear(q.records)
	q.subs, q.records = q.subs[:0], q.records[:0]
}

// work is the queue that is being written: its first submissions stand in blocks, and
// the first of those are answered.
type work struct {
	queue
	answered int // submissions
	written  int // submissions
	encoded  int // records, of those written
}

// run finds the submissions of the next block: as many as come close to a target size,
// at least one, and none behind a barrier.
func (w *work) run(target int64) ([]submission, []Record) {
	subs, records, room := 0, 0, int64(0)
	for _, s := range w.subs[w.written:] {
		if subs > 0 && room+s.room > target {
			break
		}
		subs, records, room = subs+1, records+s.records, room+s.room
		if s.barrier {
			break
		}
	}
	return w.subs[w.written:][:subs], w.records[w.encoded:][:records]
}

// placed says that a run stands in the block of an lsn, or, without records, after it.
func (w *work) placed(subs []submission, records []Record, lsn LSN) {
	for i := range subs {
		subs[i].lsn = lsn
	}
	w.written += len(subs)
	w.encoded += len(records)
}

// answer calls done of the submissions up to n.
func (w *work) answer(n int, err error) {
	for w.answered < n {
		s := &w.subs[w.answered]
		w.answered++
		if s.done == nil {
			continue
		}
		if err != nil {
			s.done(0, err)
		} else {
			s.done(s.lsn, nil)
		}
	}
}

// overtake calls the barriers that wait for room, and leaves the rest to wait.
func (w *work) overtake(lsn LSN) {
	waiting := w.subs[w.answered:]
	w.subs = w.subs[:0]
	for _, s := range waiting {
		if s.barrier {
			s.done(lsn, nil)
		} else {
			w.subs = append(w.subs, s)
		}
	}
	w.records = slices.Delete(w.records, 0, w.encoded)
	w.answered, w.written, w.encoded = 0, 0, 0
}

func (w *work) reset() {
	w.queue.reset()
	w.answered, w.written, w.encoded = 0, 0, 0
}
