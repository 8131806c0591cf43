package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"github.com/almadia/almadia/storage/vfs"
)

// DamageError: bytes that were once durable cannot be read. Nothing may be opened then.
type DamageError struct {
	File   string // path
	Pos    int64  // in the file, in bytes
	LSN    LSN    // of the block that is damaged or missing; 0 if it is not one
	Reason string
}

func (e *DamageError) Error() string {
	if e.LSN == 0 {
		return fmt.Sprintf("journal file %s is damaged: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("journal file %s is damaged: block %d: %s (position %d)", e.File, e.LSN, e.Reason, e.Pos)
}

// place is where a block was found.
type place struct {
	file   uint64
	pos    int64
	header header
}

// survey is what the files of a journal hold.
type survey struct {
	cfg   *Config
	after LSN // that of the checkpoint: blocks up to it are of no interest
	open  map[uint64]vfs.File
	ends  map[uint64]LSN // the highest lsn found in each file
	// blocks after the checkpoint, those of the highest generation for each lsn.
	blocks map[LSN]place
	// promises are those of each generation with the highest durable lsn.
	promises map[uint64]place
	// generation is the lowest that may follow the checkpoint.
	generation uint64
	window     []byte
}

// windowBytes is how much of a file is read at once.
const windowBytes = 1 << 20

// newSurvey reads all files of a state. The caller closes it, also after an error.
func newSurvey(cfg *Config, s State) (*survey, error) {
	v := &survey{
		cfg: cfg, after: s.LSN, generation: s.Generation,
		open:     make(map[uint64]vfs.File),
		ends:     make(map[uint64]LSN),
		blocks:   make(map[LSN]place),
		promises: make(map[uint64]place),
		window:   make([]byte, min(windowBytes, cfg.FileBytes)),
	}
	for _, number := range s.Files {
		if err := v.add(number); err != nil {
			return v, err
		}
	}
	return v, nil
}

func (v *survey) close() error {
	var err error
	for _, f := range v.open {
		err = errors.Join(err, f.Close())
	}
	return err
}

// add reads a file, if that was not done before.
func (v *survey) add(number uint64) error {
	if v.open[number] != nil {
		return nil
	}
	name := v.cfg.name(number)
	f, err := v.cfg.FS.OpenFile(name, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return &DamageError{File: name, Reason: "it is missing"}
	}
	if err != nil {
		return fmt.Errorf("open journal file: %w", err)
	}
	v.open[number] = f
	size, err := f.Size()
	if err != nil {
		return fmt.Errorf("measure journal file: %w", err)
	}
	if size != v.cfg.FileBytes {
		return &DamageError{File: name, Reason: fmt.Sprintf("it has %d bytes instead of %d", size, v.cfg.FileBytes)}
	}
	v.ends[number] = 0
	if err := v.scan(f, number); err != nil {
		return fmt.Errorf("read journal file %s: %w", name, err)
	}
	return nil
}

// scan finds the blocks of a file. It goes from block to block, and page by page where
// there is none.
func (v *survey) scan(f io.ReaderAt, number uint64) error {
	r := pageReader{f: f, size: v.cfg.FileBytes, window: v.window[:0]}
	s := newSeed(v.cfg.DirectoryID, number)
	for pos := int64(0); pos < r.size; {
		page, err := r.page(pos)
		if err != nil {
			return err
		}
		h, ok := s.parse(page, pos)
		if !ok {
			pos += pageBytes
			continue
		}
		at := place{number, pos, h}
		v.promise(at)
		intact, err := r.intact(h, pos)
		if err != nil {
			return err
		}
		if !intact {
			pos += pageBytes
			continue
		}
		v.found(at)
		pos += padded(int64(h.length))
	}
	return nil
}

// promise notes what the header of a block says of blocks before it: that is good even
// if the records behind the header are not.
func (v *survey) promise(p place) {
	g := p.header.generation
	if best, ok := v.promises[g]; !ok || p.header.durable > best.header.durable {
		v.promises[g] = p
	}
}

func (v *survey) found(p place) {
	h := p.header
	v.ends[p.file] = max(v.ends[p.file], h.lsn)
	if h.lsn <= v.after {
		v.generation = max(v.generation, h.generation)
		return
	}
	if known, ok := v.blocks[h.lsn]; !ok || h.generation > known.header.generation {
		v.blocks[h.lsn] = p
	}
}

// newest is the highest generation that wrote a block.
func (v *survey) newest() uint64 {
	newest := uint64(0)
	for g := range v.promises {
		newest = max(newest, g)
	}
	return newest
}

// promised is the highest lsn that some block says is durable.
func (v *survey) promised() LSN {
	lsn := LSN(0)
	for _, p := range v.promises {
		lsn = max(lsn, p.header.durable)
	}
	return lsn
}

// broken finds a promise that block lsn was durable, of a generation that is not void.
func (v *survey) broken(lsn LSN) (p place, ok bool) {
	for g, best := range v.promises {
		if g >= v.generation && best.header.durable >= lsn && (!ok || g < p.header.generation) {
			p, ok = best, true
		}
	}
	return p, ok
}

// pageReader reads a file forward, a window at a time.
type pageReader struct {
	f      io.ReaderAt
	size   int64
	start  int64 // of window
	window []byte
}

// page is the one at pos; it is valid until the next call.
func (r *pageReader) page(pos int64) ([]byte, error) {
	if pos < r.start || pos+pageBytes > r.start+int64(len(r.window)) {
		n := min(int64(cap(r.window)), r.size-pos)
		if read, err := r.f.ReadAt(r.window[:n], pos); int64(read) < n {
			return nil, fmt.Errorf("at position %d: %w", pos+int64(read), err)
		}
		r.start, r.window = pos, r.window[:n]
	}
	at := pos - r.start
	return r.window[at : at+pageBytes], nil
}

// intact reports whether the records behind a header pass their checksum. Its memory
// does not depend on what the header says.
func (r *pageReader) intact(h header, pos int64) (bool, error) {
	if int64(h.length) > r.size-pos {
		return false, nil
	}
	sum, skip := uint32(0), headerBytes
	for left := int64(h.length); left > 0; left -= pageBytes {
		page, err := r.page(pos)
		if err != nil {
			return false, err
		}
		sum = crc32.Update(sum, castagnoli, page[skip:min(left, pageBytes)])
		pos, skip = pos+pageBytes, 0
	}
	return sum == h.recordsCRC, nil
}
