package journal

import (
	"cmp"
	"slices"
	"sync"

	"github.com/almadia/almadia/internal/invariant"
)

// pool are the files of a journal that is open, each of them in use, retired or free.
type pool struct {
	max int

	mu      sync.Mutex     // guards all below
	numbers []uint64       // all files
	retired map[uint64]LSN // the last block in each file that was left
	free    []uint64       // in order of use; the last one is for the next start
	prev    LSN            // of the last checkpoint
	full    bool           // a block found no file
	stunted bool           // the disk has no room for another file
}

// newPool finds the files that are free: those without a block, or with none to keep.
func newPool(cfg *Config, s State) *pool {
	p := &pool{max: cfg.MaxFiles, numbers: slices.Clone(s.Files), retired: make(map[uint64]LSN), prev: s.kept}
	for _, number := range p.numbers {
		if end, known := s.ends[number]; known && (end == 0 || end < s.kept) {
			p.free = append(p.free, number)
		} else {
			p.retired[number] = end
		}
	}
	return p
}

// first hands out the file for the first block of a start.
func (p *pool) first() (number uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return 0, false
	}
	number = p.free[0]
	p.free = slices.Delete(p.free, 0, 1)
	return number, true
}

// missing are the numbers of the files to make: up to least in all, and one that is free.
func (p *pool) missing(least int) []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := least - len(p.numbers)
	if len(p.free) == 0 {
		n = max(n, 1)
	}
	var numbers []uint64
	for next := slices.Max(p.numbers) + 1; len(numbers) < n; next++ {
		numbers = append(numbers, next)
	}
	return numbers
}

// take hands out a file to write into, but for the last.
func (p *pool) take() (number uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) < 2 {
		p.full = true
		return 0, false
	}
	number = p.free[0]
	p.free = slices.Delete(p.free, 0, 1)
	p.full = false
	return number, true
}

// starved reports whether a block found no file, and would not find one now.
func (p *pool) starved() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.full && len(p.free) < 2 && !p.mayGrow()
}

func (p *pool) mayGrow() bool { return len(p.numbers) < p.max && !p.stunted }

// retire takes back a file that was written up to a block.
func (p *pool) retire(number uint64, end LSN) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retired[number] = end
}

// next is the number of the next file to make, if there may be more of them.
func (p *pool) next() (number uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Max(p.numbers) + 1, p.mayGrow()
}

// scarce is next, once no more than one file can be taken.
func (p *pool) scarce() (number uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Max(p.numbers) + 1, p.mayGrow() && len(p.free) <= 2
}

// add takes in a file that was made. From now on checkpoints list it.
func (p *pool) add(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.numbers = append(p.numbers, number)
}

// release hands over a file that was added and is named.
func (p *pool) release(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, number)
}

// stunt ends all growth until the next checkpoint.
func (p *pool) stunt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stunted = true
}

// checkpointed frees the files that only the checkpoint before this one needs. If that is
// not enough to go on, the older checkpoint is given up.
func (p *pool) checkpointed(lsn LSN) {
	p.mu.Lock()
	defer p.mu.Unlock()
	invariant.Check(lsn >= p.prev, "checkpoint at block %d after one at %d", lsn, p.prev)
	p.reclaim(p.prev)
	if p.full && len(p.free) < 2 {
		p.reclaim(lsn)
	}
	p.prev = lsn
	p.stunted = false
}

// reclaim frees the files whose blocks are all below an lsn, oldest first. The block of that
// lsn is kept: its generation tells which ones may follow. Called with mu held.
func (p *pool) reclaim(below LSN) {
	var found []uint64
	for number, end := range p.retired {
		if end < below {
			found = append(found, number)
		}
	}
	slices.SortFunc(found, func(a, b uint64) int { return cmp.Compare(p.retired[a], p.retired[b]) })
	for _, number := range found {
		delete(p.retired, number)
	}
	p.free = append(p.free, found...)
}

// list is what a checkpoint names.
func (p *pool) list() []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(slices.Values(p.numbers))
}

// pressed reports whether files are running out.
func (p *pool) pressed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	left := len(p.free) - 1
	if !p.stunted {
		left += max(0, p.max-len(p.numbers))
	}
	return p.full || left <= p.max/4
}
