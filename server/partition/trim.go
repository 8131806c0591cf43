package partition

import (
	"fmt"
	"slices"

	"github.com/almadia/almadia/internal/mutant"
	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/batch"
)

// maxTrims bounds the trims that wait to be proposed.
const maxTrims = 1024

// Trim is a move of the log start on its way.
type Trim struct {
	partition *Partition
	to        storage.Offset
	done      func(start storage.Offset, err error)
}

// Trim gives up the records below an offset, which must be committed: done is told the log
// start when they are gone, which may be later in the log already. When it is called, and
// errors, are as for Append; *OutOfRangeError for an offset that is negative or past the
// high watermark.
func (p *Partition) Trim(to storage.Offset, done func(start storage.Offset, err error)) *Trim {
	t := &Trim{p, to, done}
	start, waits, err := p.enqueueTrim(t)
	switch {
	case err != nil:
		done(0, fmt.Errorf("trim log %d: %w", p.id, err))
	case !waits:
		done(start, nil)
	}
	return t
}

// enqueueTrim also returns the log start if the trim does not wait: it is there already.
func (p *Partition) enqueueTrim(t *Trim) (start storage.Offset, waits bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := &p.view
	switch err := p.ready(); {
	case err != nil:
		return 0, false, err
	case t.to < 0 || t.to > v.HighWatermark && !mutant.TrimUncommitted:
		return 0, false, &OutOfRangeError{t.to, v.LogStart, v.HighWatermark}
	case t.to <= v.LogStart:
		return v.LogStart, false, nil
	case len(p.trims) == maxTrims:
		return 0, false, ErrOverloaded
	}
	p.pushTrim(t)
	return 0, true, nil
}

// pushTrim has a trim wait. Needs mu.
func (p *Partition) pushTrim(t *Trim) {
	p.trims = append(p.trims, t)
	if p.replica != nil {
		p.replica.Wake()
	}
}

// Withdraw is as that of a Pending.
func (t *Trim) Withdraw() bool {
	p := t.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.trims, t)
	if i < 0 {
		return false
	}
	p.trims = slices.Delete(p.trims, i, i+1)
	return true
}

// cut is a TRIM frame that raft has: one for all trims that waited.
type cut struct {
	partition *Partition
	trims     []*Trim
	to        storage.Offset
}

// takeTrims moves the trims that wait to a proposal; nil if there are none.
func (p *Partition) takeTrims() *raft.Proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.trims) == 0 {
		return nil
	}
	c := &cut{partition: p, trims: p.trims}
	p.trims = nil
	for _, t := range c.trims {
		c.to = max(c.to, t.to)
	}
	return &raft.Proposal{Frame: batch.Control(batch.Trim, batch.TrimPayload(c.to)), Context: c, Fail: c.fail}
}

func (c *cut) acknowledge(_ batch.Header, logStart storage.Offset) {
	for _, t := range c.trims {
		t.done(logStart, nil)
	}
}

// fail answers the trims of a frame that raft gave up.
func (c *cut) fail(err error) {
	err = fmt.Errorf("trim log %d: %w", c.partition.id, notCommitted(err))
	for _, t := range c.trims {
		t.done(0, err)
	}
}

// trimmedTo is where an entry moves the log start: never past itself. 0 if it does not.
func trimmedTo(a raft.Applied) (storage.Offset, error) {
	if a.Header.Kind != batch.Trim {
		return 0, nil
	}
	payload, err := a.Payload()
	if err != nil {
		return 0, err
	}
	start, err := batch.ParseTrim(payload)
	return min(start, a.Header.BaseOffset), err
}
