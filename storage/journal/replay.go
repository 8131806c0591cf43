package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/almadia/almadia/storage/vfs"
)

// Replay reads the blocks after s.LSN in order and hands each record over. It returns
// the last lsn, and what a checkpoint there must name. What it handed over is durable.
// The error is a *DamageError if bytes below a promise are bad: nothing may be opened then.
//
// The Data of a KindRedo is valid until apply returns; that of others may be kept.
func Replay(cfg Config, s State, apply func(LSN, Record) error) (last LSN, next State, err error) {
	cfg = cfg.withDefaults()
	v, err := newSurvey(&cfg, s)
	defer func() { err = errors.Join(err, v.close()) }()
	if err != nil {
		return 0, State{}, err
	}
	r := replay{
		survey: v, last: s.LSN, apply: apply,
		promised: v.promised(), dirty: make(map[uint64]vfs.File),
	}
	if err := r.run(); err != nil {
		return 0, State{}, err
	}
	next = State{
		LSN: r.last, Generation: v.generation, Files: slices.Sorted(maps.Keys(v.open)),
		ends: v.ends, kept: s.LSN, newest: v.newest(),
	}
	return r.last, next, nil
}

// replay follows the blocks of a survey.
type replay struct {
	*survey
	last     LSN
	apply    func(LSN, Record) error
	promised LSN // blocks up to here are durable
	dirty    map[uint64]vfs.File
	block    []byte
}

func (r *replay) run() error {
	for {
		p, ok := r.blocks[r.last+1]
		if !ok || p.header.generation < r.generation {
			break
		}
		if err := r.handOver(p); err != nil {
			return err
		}
		r.last, r.generation = p.header.lsn, p.header.generation
	}
	if p, ok := r.broken(r.last + 1); ok {
		return &DamageError{
			File: r.cfg.name(p.file), Pos: p.pos, LSN: r.last + 1,
			Reason: fmt.Sprintf("it is missing, but block %d here says that blocks up to %d were durable",
				p.header.lsn, p.header.durable),
		}
	}
	for number, f := range r.dirty {
		if err := f.Datasync(); err != nil {
			return fmt.Errorf("sync journal file %d: %w", number, err)
		}
	}
	return nil
}

// handOver applies the records of a block.
func (r *replay) handOver(p place) error {
	rest, err := r.read(p)
	if err != nil {
		return err
	}
	if p.header.lsn > r.promised {
		if err := r.rewrite(p); err != nil {
			return err
		}
	}
	for len(rest) > 0 {
		var rec Record
		if rec, rest, err = parseRecord(rest); err != nil {
			return fmt.Errorf("replay block %d in journal file %d at %d: %w",
				p.header.lsn, p.file, p.pos, err)
		}
		if rec.Kind == KindFile {
			err = r.add(rec.Number)
		} else {
			if rec.Kind != KindRedo {
				rec.Data = slices.Clone(rec.Data)
			}
			err = r.apply(p.header.lsn, rec)
		}
		if err != nil {
			return fmt.Errorf("replay block %d: %w", p.header.lsn, err)
		}
	}
	return nil
}

// rewrite writes a block again that an earlier process may not have lived to sync, or
// failed to: then its pages count as clean, and only a write brings them to the disk.
func (r *replay) rewrite(p place) error {
	f := r.open[p.file]
	if _, err := f.WriteAt(r.block, p.pos); err != nil {
		return fmt.Errorf("write block %d again to journal file %d at %d: %w",
			p.header.lsn, p.file, p.pos, err)
	}
	r.dirty[p.file] = f
	return nil
}

// read returns the records of a block, which the next call overwrites.
func (r *replay) read(p place) ([]byte, error) {
	n := int(p.header.length)
	r.block = slices.Grow(r.block[:0], n)[:n]
	if read, err := r.open[p.file].ReadAt(r.block, p.pos); read < n {
		return nil, fmt.Errorf("read block %d in journal file %d at %d: %w",
			p.header.lsn, p.file, p.pos, err)
	}
	records := r.block[headerBytes:]
	if crc32.Checksum(records, castagnoli) != p.header.recordsCRC {
		return nil, &DamageError{
			File: r.cfg.name(p.file), Pos: p.pos, LSN: p.header.lsn,
			Reason: "it reads differently the second time",
		}
	}
	return records, nil
}
