package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// inode is a file or a directory. A directory has two tables of its entries: as
// processes see it and as the disk holds it. Between them lie the entry operations that
// no SyncDir has made durable.
type inode struct {
	isDir   bool
	entries map[string]*inode
	durable map[string]*inode
	at      place // where the durable tables have it

	linked bool // has a name in some entries
	opens  int  // handles of it
	locked bool
	content
}

func newDir() *inode {
	return &inode{isDir: true, entries: make(map[string]*inode), durable: make(map[string]*inode)}
}

// place is a name in a directory; the zero place is nowhere.
type place struct {
	dir  *inode
	name string
}

// entryOp moves node between places: from nowhere if it is created, to nowhere if it is
// removed. What had the place before loses it.
type entryOp struct {
	node     *inode
	from, to place
}

func (op *entryOp) isRename() bool { return op.from.dir != nil && op.to.dir != nil }

// settle does the operation to the durable tables. It is right for any subset of the
// operations in their order: the node leaves the place it has there, whichever that is.
func (op *entryOp) settle() {
	if at := op.node.at; at.dir != nil {
		delete(at.dir.durable, at.name)
	}
	op.node.at = op.to
	if to := op.to; to.dir != nil {
		if replaced := to.dir.durable[to.name]; replaced != nil {
			replaced.at = place{}
		}
		to.dir.durable[to.name] = op.node
	}
}

// syncEntries splits unsynced operations into those that SyncDir of a directory makes
// durable and the rest. Durable become those that touch the directory, and before them
// those that moved the same node or used the same place.
func syncEntries(ops []entryOp, dir *inode) (durable, rest []entryOp) {
	nodes, places := make(map[*inode]bool), make(map[place]bool)
	for _, op := range slices.Backward(ops) {
		if op.from.dir != dir && op.to.dir != dir && !nodes[op.node] && !places[op.from] && !places[op.to] {
			rest = append(rest, op)
			continue
		}
		nodes[op.node] = true
		for _, p := range []place{op.from, op.to} {
			if p.dir != nil {
				places[p] = true
			}
		}
		durable = append(durable, op)
	}
	slices.Reverse(durable)
	slices.Reverse(rest)
	return durable, rest
}

// losePower settles a random part of the unsynced operations. A name that a lost rename
// should have freed is still taken, so what would have replaced it is lost too: else a
// file could vanish that nobody removed or replaced.
func losePower(ops []entryOp, rng *rand.Rand) {
	o := drawOdds(rng)
	taken := make(map[place]bool)
	for _, op := range ops {
		if o.draw(rng) == kept && !taken[op.to] {
			op.settle()
		} else if op.isRename() {
			taken[op.from] = true
		}
	}
}

// reset makes the tree below a directory what the disk holds, in the order of the
// names, and counts the pages it takes.
func (n *inode) reset(e *epoch, rng *rand.Rand) (pages int64) {
	n.linked = true
	if !n.isDir {
		n.content = n.powerLoss(e, rng)
		return n.allocated
	}
	n.entries = maps.Clone(n.durable)
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		pages += n.entries[name].reset(e, rng)
	}
	return pages
}

// copier copies a graph of inodes, each once. Handles and locks are not copied.
type copier map[*inode]*inode

func (c copier) inode(n *inode) *inode {
	if n == nil {
		return nil
	}
	if done := c[n]; done != nil {
		return done
	}
	dup := &inode{isDir: n.isDir, linked: n.linked, content: n.content}
	c[n] = dup
	dup.entries, dup.durable = c.entries(n.entries), c.entries(n.durable)
	dup.at = c.place(n.at)
	return dup
}

func (c copier) entries(from map[string]*inode) map[string]*inode {
	if from == nil {
		return nil
	}
	dup := make(map[string]*inode, len(from))
	for name, n := range from {
		dup[name] = c.inode(n)
	}
	return dup
}

func (c copier) place(p place) place { return place{c.inode(p.dir), p.name} }

func (c copier) ops(from []entryOp) []entryOp {
	dup := make([]entryOp, len(from))
	for i, op := range from {
		dup[i] = entryOp{c.inode(op.node), c.place(op.from), c.place(op.to)}
	}
	return dup
}
