package vfs

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

const (
	pageBytes   = 4096
	sectorBytes = 512
	pageSectors = pageBytes / sectorBytes
)

// An epoch names the file system that may change a page, or a table of pages, in place.
// Copying a file system gives both copies a new epoch: from then on all they share is
// copied before it is changed.
type epoch struct{ _ byte }

type page struct {
	epoch *epoch
	data  [pageBytes]byte
}

// zeros stands for all pages that take space but were only written with zeros. It has no
// epoch, so nobody changes it.
var zeros page

// content is what a file holds, and what of it the disk surely holds.
//
// Invariants: bytes of a page past size are zero; low ≤ synced and low ≤ size; a page
// that differs from what the disk holds is in dirty.
type content struct {
	epoch     *epoch            // owns pages and dirty
	pages     []*page           // nil, or past the end: a hole
	dirty     map[int]dirtyPage // by index into pages, or past its end
	size      int64
	synced    int64 // size at the last sync
	low       int64 // least size since the last sync
	allocated int64 // pages that are no holes
}

// dirtyPage is what can become of a page at power loss. Sectors are bits.
type dirtyPage struct {
	was     *page // what the disk holds; nil: zeros
	back    *page // what was handed to write-back later, if anything
	written uint8 // sectors written since the last sync
	backed  uint8 // of those, sectors handed to write-back
	failed  uint8 // of those, sectors whose sync failed: no later sync writes them
}

// own prepares the tables to be changed.
func (c *content) own(e *epoch) {
	if c.epoch != e {
		c.epoch, c.pages, c.dirty = e, slices.Clone(c.pages), maps.Clone(c.dirty)
	}
	if c.dirty == nil {
		c.dirty = make(map[int]dirtyPage)
	}
}

func (c *content) page(i int) *page {
	if i < len(c.pages) {
		return c.pages[i]
	}
	return nil
}

func (c *content) setPage(i int, p *page) {
	if more := i + 1 - len(c.pages); more > 0 {
		c.pages = append(c.pages, make([]*page, more)...)
	}
	c.pages[i] = p
}

// change returns a page to be changed in place, in the sectors of a mask. It must not
// be a hole.
func (c *content) change(e *epoch, i int, sectors uint8) *page {
	p := c.page(i)
	d, dirty := c.dirty[i]
	if !dirty {
		d.was = p
	}
	if p.epoch != e || p == d.was || p == d.back {
		p = &page{epoch: e, data: p.data}
		c.pages[i] = p
	}
	d.written |= sectors
	d.failed &^= sectors
	c.dirty[i] = d
	return p
}

// sectorsOf is the mask of the sectors that n > 0 bytes at off of a page touch.
func sectorsOf(off, n int) uint8 {
	first, end := off/sectorBytes, (off+n+sectorBytes-1)/sectorBytes
	return uint8(1<<end - 1<<first)
}

func (c *content) read(p []byte, pos int64) int {
	if pos >= c.size {
		return 0
	}
	p = p[:min(int64(len(p)), c.size-pos)]
	for n := 0; n < len(p); {
		i, off := pageAt(pos + int64(n))
		chunk := p[n:min(len(p), n+pageBytes-off)]
		if from := c.page(i); from != nil {
			copy(chunk, from.data[off:])
		} else {
			clear(chunk)
		}
		n += len(chunk)
	}
	return len(p)
}

// write fills at most room holes and stops short at the next one.
func (c *content) write(e *epoch, p []byte, pos, room int64) int {
	c.own(e)
	n := 0
	for n < len(p) {
		i, off := pageAt(pos + int64(n))
		chunk := p[n:min(len(p), n+pageBytes-off)]
		if c.page(i) == nil {
			if room <= 0 {
				break
			}
			room--
			c.allocated++
			c.setPage(i, &zeros)
		}
		if c.page(i) != &zeros || !isZero(chunk) {
			copy(c.change(e, i, sectorsOf(off, len(chunk))).data[off:], chunk)
		}
		n += len(chunk)
	}
	if n > 0 {
		c.size = max(c.size, pos+int64(n))
	}
	return n
}

func pageAt(pos int64) (i, off int) { return int(pos / pageBytes), int(pos % pageBytes) }

func isZero(p []byte) bool { return string(p) == string(zeros.data[:len(p)]) }

func (c *content) truncate(e *epoch, size int64) {
	c.own(e)
	if size < c.size {
		end := int((size + pageBytes - 1) / pageBytes)
		for i := end; i < len(c.pages); i++ {
			c.cutPage(i)
		}
		c.pages = c.pages[:min(end, len(c.pages))]
		c.cutTail(e, size)
		c.low = min(c.low, size)
	}
	c.size = size
}

// cutPage makes a page a hole. What was written to it is gone with it, but what the disk
// holds comes back if the truncation is lost.
func (c *content) cutPage(i int) {
	p := c.pages[i]
	if p == nil {
		return
	}
	c.pages[i] = nil
	c.allocated--
	if d, dirty := c.dirty[i]; dirty {
		c.dirty[i] = dirtyPage{was: d.was}
	} else if p != &zeros {
		c.dirty[i] = dirtyPage{was: p}
	}
}

// cutTail zeroes the last page from size on.
func (c *content) cutTail(e *epoch, size int64) {
	i, off := pageAt(size)
	if p := c.page(i); off == 0 || p == nil || p == &zeros {
		return
	}
	clear(c.change(e, i, 0).data[off:])
	d, left := c.dirty[i], sectorsOf(0, off)
	c.dirty[i] = dirtyPage{was: d.was, written: d.written & left, failed: d.failed & left}
}

// writeBack makes what n bytes at pos hold now a thing that power loss may leave, even
// if they are written again.
func (c *content) writeBack(e *epoch, pos, n int64) {
	c.own(e)
	first, end := pos/pageBytes, (pos+n+pageBytes-1)/pageBytes
	for i := first; i < min(end, int64(len(c.pages))); i++ {
		if d, dirty := c.dirty[int(i)]; dirty && d.written != 0 {
			d.back, d.backed = c.pages[i], d.written
			c.dirty[int(i)] = d
		}
	}
}

// sync makes everything durable except sectors of a failed sync.
func (c *content) sync(e *epoch) {
	c.own(e)
	for i, d := range c.dirty {
		if d.failed == 0 {
			delete(c.dirty, i)
			continue
		}
		was := &page{epoch: e, data: c.pages[i].data}
		for s := range pageSectors {
			if d.failed>>s&1 != 0 {
				copy(sector(was, s), sector(orZeros(d.was), s))
			}
		}
		c.dirty[i] = dirtyPage{was: was, written: d.failed, failed: d.failed}
	}
	c.synced, c.low = c.size, c.size
}

// failSync leaves everything unsynced, and unsynced for good what is not written again.
func (c *content) failSync(e *epoch) {
	c.own(e)
	for i, d := range c.dirty {
		d.failed = d.written
		c.dirty[i] = d
	}
}

func sector(p *page, s int) []byte { return p.data[s*sectorBytes : (s+1)*sectorBytes] }

func orZeros(p *page) *page {
	if p == nil {
		return &zeros
	}
	return p
}

// powerLoss returns what the disk holds afterwards.
//
// The length is the synced one, the current one or, if the file only grew, one between.
// If the new length is kept, so are the truncations that led to it, and bytes cut off do
// not come back; if it is not, only what was written, not what was cut off, can differ
// from what was synced. Each sector written becomes what it was, what it is, or a mix.
func (c *content) powerLoss(e *epoch, rng *rand.Rand) content {
	changed := c.size != c.synced || c.low < c.synced
	if len(c.dirty) == 0 && !changed {
		return *c
	}
	o := drawOdds(rng)
	size, cut := c.synced, int64(math.MaxInt64)
	if changed {
		switch o.draw(rng) {
		case kept:
			size, cut = c.size, c.low
		case torn:
			if c.low == c.synced {
				size = c.lengthBetween(rng)
			}
		}
	}
	after := content{epoch: e, pages: slices.Clone(c.pages), size: max(c.size, c.synced)}
	for _, i := range slices.Sorted(maps.Keys(c.dirty)) {
		after.setPage(i, c.pagePowerLoss(i, e, cut, o, rng))
	}
	after.truncate(e, size)
	after.sync(e)
	after.allocated = 0
	for _, p := range after.pages {
		if p != nil {
			after.allocated++
		}
	}
	return after
}

// lengthBetween draws the length of a file of whose growth a part was kept: whole
// sectors, as it is written back.
func (c *content) lengthBetween(rng *rand.Rand) int64 {
	first, last := c.synced/sectorBytes+1, c.size/sectorBytes
	if first > last {
		return c.synced
	}
	return (first + rng.Int64N(last-first+1)) * sectorBytes
}

// pagePowerLoss returns what the disk holds of a dirty page whose synced bytes count up
// to position cut of the file.
func (c *content) pagePowerLoss(i int, e *epoch, cut int64, o odds, rng *rand.Rand) *page {
	d := c.dirty[i]
	after := &page{epoch: e, data: orZeros(d.was).data}
	if start := int64(i) * pageBytes; cut < start+pageBytes {
		clear(after.data[max(0, cut-start):])
	}
	for s := range pageSectors {
		if d.written>>s&1 == 0 {
			continue
		}
		disk := sector(after, s)
		if d.backed>>s&1 != 0 && rng.IntN(2) == 0 {
			copy(disk, sector(d.back, s))
		}
		o.mix(disk, sector(c.pages[i], s), rng)
	}
	if after.data == zeros.data && c.page(i) == nil {
		return nil
	}
	return after
}
