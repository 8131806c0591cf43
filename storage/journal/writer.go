package journal

import (
	"errors"
	"fmt"
	"os"

	"github.com/almadia/almadia/internal/invariant"
	"github.com/almadia/almadia/internal/mutant"
	"github.com/almadia/almadia/storage/vfs"
)

// writer writes blocks to the file in use. The goroutine that flushes owns it.
type writer struct {
	cfg *Config

	file   vfs.File
	number uint64
	seed   seed
	pos    int64 // where the next block begins, in bytes

	last    LSN   // of the last block written
	carried LSN   // the durable lsn in it
	durable LSN   // the last block synced
	vouched LSN   // the durable lsn in that one
	bytes   int64 // of all blocks written
	owing   LSN   // the last block with records, for which another is to vouch

	block []byte // under construction
	page  []byte // the same, of blocks of the journal's own
}

// open begins a file at its first position.
func (w *writer) open(number uint64) error {
	f, err := w.cfg.FS.OpenFile(w.cfg.name(number), os.O_RDWR)
	if err != nil {
		return fmt.Errorf("open journal file %d: %w", number, err)
	}
	w.file, w.number, w.seed, w.pos = f, number, newSeed(w.cfg.DirectoryID, number), 0
	return nil
}

// leave syncs the file in use and closes it.
func (w *writer) leave() error {
	err := w.sync()
	f := w.file
	w.file = nil
	if cerr := f.Close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("close journal file %d: %w", w.number, cerr))
	}
	return err
}

// fits reports whether a block of a length still stands before the tail of the file.
func (w *writer) fits(length int) bool { return w.pos+padded(int64(length)) <= w.cfg.room() }

// encode puts records into the block under construction.
func (w *writer) encode(records []Record) {
	if cap(w.block) > 2*blockTargetBytes {
		w.block = nil
	}
	w.block = append(w.block[:0], zeroPage[:headerBytes]...)
	for i := range records {
		w.block = appendRecord(w.block, &records[i])
	}
}

// write seals a block and writes it. The records in it are durable only after sync.
func (w *writer) write(block []byte) ([]byte, error) {
	hasRecords := len(block) > headerBytes
	h := header{generation: w.cfg.Generation, lsn: w.last + 1, durable: w.durable}
	block = w.seed.seal(block, w.pos, h)
	end := w.pos + int64(len(block))
	if end > w.cfg.FileBytes { // asked here, for the arguments below are allocated
		invariant.Check(false, "journal file %d: a block ends at %d", w.number, end)
	}
	if _, err := w.file.WriteAt(block, w.pos); err != nil {
		return block, fmt.Errorf("write block %d to journal file %d: %w", h.lsn, w.number, err)
	}
	w.pos, w.last, w.carried = end, h.lsn, h.durable
	w.bytes += int64(len(block))
	if hasRecords {
		w.owing = h.lsn
	}
	return block, nil
}

// writeBlock writes the block under construction.
func (w *writer) writeBlock() (err error) {
	w.block, err = w.write(w.block)
	return err
}

// writePage writes and syncs a block of the journal's own, which fits a page.
func (w *writer) writePage(records ...Record) (err error) {
	w.page = append(w.page[:0], zeroPage[:headerBytes]...)
	for i := range records {
		w.page = appendRecord(w.page, &records[i])
	}
	if w.page, err = w.write(w.page); err != nil {
		return err
	}
	return w.sync()
}

// vouch writes and syncs an empty block if none vouches yet for the last with records.
func (w *writer) vouch() error {
	if w.vouched >= w.owing {
		return nil
	}
	return w.writePage()
}

// sync makes all blocks written durable.
func (w *writer) sync() error {
	if w.durable == w.last {
		return nil
	}
	if !mutant.NoSync {
		if err := w.file.Datasync(); err != nil {
			return fmt.Errorf("sync journal file %d: %w", w.number, err)
		}
	}
	w.durable, w.vouched = w.last, w.carried
	return nil
}
