package partition

import (
	"errors"
	"fmt"

	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/compress"
)

// Ready tells whether the partition can be written and read here now: ErrNoLeader while it
// cannot, ErrStopped if it will not again, since its replica has stopped.
func (p *Partition) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ready()
}

// View is the present one.
func (p *Partition) View() View {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view
}

// readable is the view and the log for a reader, if there may be one now.
func (p *Partition) readable() (View, *storage.Log, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.view, p.log, p.ready()
}

// Read appends to dst whole committed frames from the one on that holds offset from, about
// maxBytes of them and one at least; control frames may stand between. It also returns the
// view that it kept to. from = high watermark reads nothing. Errors: *OutOfRangeError, with
// the bounds; ErrNoLeader, ErrStopped.
func (p *Partition) Read(c *storage.Cursor, from storage.Offset, maxBytes int, dst []byte) ([]byte, View, error) {
	view, log, err := p.readable()
	switch {
	case err != nil:
		return dst, view, p.readError(from, err)
	case from < view.LogStart || from > view.HighWatermark:
		return dst, view, p.readError(from, &OutOfRangeError{from, view.LogStart, view.HighWatermark})
	case from == view.HighWatermark:
		return dst, view, nil
	}
	dst, err = log.Read(c, from, view.HighWatermark, maxBytes, dst)
	if errors.Is(err, storage.ErrCompacted) { // trimmed meanwhile
		view.LogStart = log.Start()
		err = &OutOfRangeError{from, view.LogStart, view.HighWatermark}
	}
	if err != nil {
		return dst, view, p.readError(from, closed(err))
	}
	return dst, view, nil
}

func (p *Partition) readError(from storage.Offset, err error) error {
	return fmt.Errorf("read log %d from offset %d: %w", p.id, from, err)
}

// OffsetAt finds the first committed record whose timestamp is at or after ms (since the
// Unix epoch). ErrNoLeader, ErrStopped.
func (p *Partition) OffsetAt(ms int64) (at storage.Offset, timestamp int64, found bool, err error) {
	view, log, err := p.readable()
	if err == nil {
		at, timestamp, found, err = log.OffsetAt(ms, view.HighWatermark, compress.TimeFrom)
	}
	if err != nil {
		return 0, 0, false, fmt.Errorf("find time %d in log %d: %w", ms, p.id, closed(err))
	}
	return at, timestamp, found, nil
}

// closed tells of a log that was deleted, or closed, meanwhile.
func closed(err error) error {
	if errors.Is(err, storage.ErrClosed) {
		return fmt.Errorf("%w: %w", ErrStopped, err)
	}
	return err
}

// Changed gives a channel that is closed when the high watermark passes from, when the
// leadership or the log start moves, or the partition stops. It may be closed earlier; so get
// it first, then look, then wait. If the high watermark is past from already, or the
// partition has stopped, it is closed at once. All who wait share one channel. Who waits for
// many partitions uses Watch.
func (p *Partition) Changed(from storage.Offset) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.view.HighWatermark > from {
		at := make(chan struct{})
		close(at)
		return at
	}
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// SizeBytes is the size of the log on disk.
func (p *Partition) SizeBytes() int64 {
	p.mu.Lock()
	log := p.log
	p.mu.Unlock()
	if log == nil {
		return 0
	}
	return log.SizeBytes()
}
