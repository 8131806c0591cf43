package vfs

import (
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// unlimited is the capacity of a Mem without Limit, in bytes.
const unlimited = 1 << 50

// maxFileBytes is the greatest length of a file of a Mem.
const maxFileBytes = 1 << 36

// Mem is a file system in memory with the durability of a real one. Each file has its
// synced content and unsynced sectors of 512 bytes; each directory its synced entries
// and unsynced operations on entries. Crash and PowerLoss end a Mem and return the one
// that a restarted process finds.
//
// A Mem begins as an empty root directory, "/" or ".". Only what is written takes
// memory, zeros take almost none, and copies share what they have in common. All
// methods may be called from many goroutines. With the same calls and the same rng the
// same is lost.
type Mem struct {
	counts counters

	mu      sync.RWMutex // guards all below, and all inodes
	root    *inode
	ops     []entryOp // unsynced entry operations, oldest first
	epoch   *epoch
	limit   int64 // bytes
	used    int64 // pages of files that have a name or are open
	crashed bool
}

var _ FS = (*Mem)(nil)

// NewMem returns an empty file system.
func NewMem() *Mem {
	root := newDir()
	root.linked = true
	return &Mem{root: root, epoch: new(epoch), limit: unlimited}
}

// Limit sets the capacity in bytes of content, counted in pages of 4096 bytes that were
// written, be it with zeros. A write that needs more stops short with ENOSPC. Copies
// inherit it.
func (m *Mem) Limit(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = bytes
}

// room is how many more pages fit.
func (m *Mem) room() int64 { return max(0, m.limit/pageBytes-m.used) }

// Counts says how often a Mem, or its files, did what costs a disk time.
type Counts struct {
	Reads, ReadBytes           int64
	Writes, WrittenBytes       int64
	Syncs, Datasyncs           int64
	DirSyncs, WriteBacks       int64
	Creates, Renames, Removals int64
}

type counters struct {
	reads, readBytes           atomic.Int64
	writes, writtenBytes       atomic.Int64
	syncs, datasyncs           atomic.Int64
	dirSyncs, writeBacks       atomic.Int64
	creates, renames, removals atomic.Int64
}

// Counts returns what was done since the Mem was made. Calls that failed before they did
// anything do not count.
func (m *Mem) Counts() Counts {
	c := &m.counts
	return Counts{
		Reads: c.reads.Load(), ReadBytes: c.readBytes.Load(),
		Writes: c.writes.Load(), WrittenBytes: c.writtenBytes.Load(),
		Syncs: c.syncs.Load(), Datasyncs: c.datasyncs.Load(),
		DirSyncs: c.dirSyncs.Load(), WriteBacks: c.writeBacks.Load(),
		Creates: c.creates.Load(), Renames: c.renames.Load(), Removals: c.removals.Load(),
	}
}

// Clone returns a copy as of this moment, with all that is synced and unsynced, but
// without open files and locks. It is what Crash would return, and the Mem lives on.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clone()
}

// clone is called with mu held. Both file systems change their epoch, because all
// content is shared now.
func (m *Mem) clone() *Mem {
	c := make(copier)
	dup := &Mem{root: c.inode(m.root), ops: c.ops(m.ops), epoch: new(epoch), limit: m.limit}
	for _, n := range c {
		if n.linked {
			dup.used += n.allocated
		}
	}
	m.epoch = new(epoch)
	return dup
}

// Crash ends the process: open files and locks of m are dead, and every later call on
// m, them included, returns ErrCrashed. Nothing written is lost: the page cache goes on
// in the Mem returned, unsynced as it is.
func (m *Mem) Crash() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	return m.clone()
}

// PowerLoss ends the machine: m is dead as after Crash, and the Mem returned is what the
// disk holds. All that was synced is there. Of what was not, each on its own
//
//   - a sector that was written is new, old (or as it was at the last WriteBack) or torn:
//     new up to some byte or from it on;
//   - the length of a file is new or old, or between the two if the file only grew;
//   - a created, renamed or removed entry is new or old. A rename happens whole or not
//     at all, and nothing takes the place of a file whose renaming was lost.
func (m *Mem) PowerLoss(rng *rand.Rand) *Mem {
	after := m.Crash()
	losePower(after.ops, rng)
	after.ops = nil
	after.used = after.root.reset(after.epoch, rng)
	return after
}

// find returns the inode of a name. It is called with mu held, as are all below that do
// not take it.
func (m *Mem) find(name string) (*inode, error) {
	if m.crashed {
		return nil, ErrCrashed
	}
	n := m.root
	for part := range strings.SplitSeq(strings.TrimPrefix(path.Clean("/"+name), "/"), "/") {
		if part == "" {
			break
		}
		if !n.isDir {
			return nil, syscall.ENOTDIR
		}
		if n = n.entries[part]; n == nil {
			return nil, syscall.ENOENT
		}
	}
	return n, nil
}

func (m *Mem) findDir(name string) (*inode, error) {
	n, err := m.find(name)
	if err == nil && !n.isDir {
		return nil, syscall.ENOTDIR
	}
	return n, err
}

// findPlace returns the place of a name, whose directory must exist, and what has it.
func (m *Mem) findPlace(name string) (place, *inode, error) {
	dirName, base := path.Split(path.Clean("/" + name))
	if base == "" {
		return place{}, nil, syscall.EINVAL
	}
	dir, err := m.findDir(dirName)
	if err != nil {
		return place{}, nil, err
	}
	return place{dir, base}, dir.entries[base], nil
}

// move gives node a new place, or none, and notes that as unsynced.
func (m *Mem) move(node *inode, from, to place) {
	if from.dir != nil {
		delete(from.dir.entries, from.name)
	}
	node.linked = to.dir != nil
	if to.dir != nil {
		if replaced := to.dir.entries[to.name]; replaced != nil {
			replaced.linked = false
			m.release(replaced)
		}
		to.dir.entries[to.name] = node
	}
	m.release(node)
	m.ops = append(m.ops, entryOp{node, from, to})
}

// release frees the space of a file that nobody can reach any more.
func (m *Mem) release(n *inode) {
	if !n.linked && n.opens == 0 {
		m.used -= n.allocated
	}
}

// OpenFile opens or creates a file. See FS.
func (m *Mem) OpenFile(name string, flag int) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.open(name, flag)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	n.opens++
	return &memFile{m: m, node: n, name: name, flag: flag}, nil
}

func (m *Mem) open(name string, flag int) (*inode, error) {
	if flag&^openFlags != 0 {
		return nil, syscall.EINVAL
	}
	n, err := m.find(name)
	switch {
	case err == nil && flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, syscall.EEXIST
	case err == nil && n.isDir:
		return nil, syscall.EISDIR
	case err == syscall.ENOENT && flag&os.O_CREATE != 0:
		return m.create(name, new(inode))
	case err == nil && flag&os.O_TRUNC != 0:
		m.truncate(n, 0)
	}
	return n, err
}

func (m *Mem) create(name string, n *inode) (*inode, error) {
	if _, err := m.find(name); err == nil {
		return nil, syscall.EEXIST
	}
	at, _, err := m.findPlace(name)
	if err != nil {
		return nil, err
	}
	m.move(n, place{}, at)
	m.counts.creates.Add(1)
	return n, nil
}

func (m *Mem) truncate(n *inode, size int64) {
	before := n.allocated
	n.truncate(m.epoch, size)
	m.used += n.allocated - before
}

// Mkdir creates a directory. See FS.
func (m *Mem) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.create(name, newDir()); err != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: err}
	}
	return nil
}

// Remove removes a file or an empty directory. See FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, n, err := m.findPlace(name)
	switch {
	case err != nil:
	case n == nil:
		err = syscall.ENOENT
	case len(n.entries) != 0:
		err = syscall.ENOTEMPTY
	default:
		m.move(n, at, place{})
		m.counts.removals.Add(1)
		return nil
	}
	return &fs.PathError{Op: "remove", Path: name, Err: err}
}

// Rename moves a file or directory. See FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	m.counts.renames.Add(1)
	return nil
}

func (m *Mem) rename(from, to string) error {
	source, n, err := m.findPlace(from)
	if err != nil {
		return err
	}
	target, replaced, err := m.findPlace(to)
	switch {
	case err != nil:
		return err
	case n == nil:
		return syscall.ENOENT
	case n == replaced:
		return nil
	case n.isDir && strings.HasPrefix(path.Clean("/"+to), path.Clean("/"+from)+"/"):
		return syscall.EINVAL
	case replaced != nil && replaced.isDir:
		return syscall.EEXIST
	case replaced != nil && n.isDir:
		return syscall.ENOTDIR
	}
	m.move(n, source, target)
	return nil
}

// ReadDir lists a directory. See FS.
func (m *Mem) ReadDir(name string) ([]string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	dir, err := m.findDir(name)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return slices.Sorted(maps.Keys(dir.entries)), nil
}

// Stat describes a file or directory, which has no time of modification. See FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, err := m.find(name)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return memInfo{path.Base(path.Clean("/" + name)), n.isDir, n.size}, nil
}

// SyncDir makes the entries of a directory durable. See FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, err := m.findDir(name)
	if err != nil {
		return &fs.PathError{Op: "syncdir", Path: name, Err: err}
	}
	durable, rest := syncEntries(m.ops, dir)
	for _, op := range durable {
		op.settle()
	}
	m.ops = rest
	m.counts.dirSyncs.Add(1)
	return nil
}

// Lock locks a file. See FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.open(name, os.O_RDWR|os.O_CREATE)
	if err == nil && n.locked {
		err = ErrLocked
	}
	if err != nil {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
	}
	n.locked = true
	n.opens++
	return &memLock{memFile{m: m, node: n, name: name}}, nil
}

// Free says how much fits under the limit. See FS.
func (m *Mem) Free(name string) (int64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if _, err := m.find(name); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	return m.room() * pageBytes, nil
}

// memInfo is an fs.FileInfo.
type memInfo struct {
	name  string
	isDir bool
	size  int64
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) ModTime() time.Time { return time.Time{} }
func (i memInfo) IsDir() bool        { return i.isDir }
func (i memInfo) Sys() any           { return nil }

func (i memInfo) Mode() fs.FileMode {
	if i.isDir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
