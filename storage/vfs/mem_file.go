package vfs

import (
	"io"
	"io/fs"
	"os"
	"syscall"
)

// memFile is an open file of a Mem.
type memFile struct {
	m      *Mem
	node   *inode
	name   string
	flag   int
	closed bool // guarded by m.mu
}

// usable says why a file cannot be used in a way that an access mode forbids. It is
// called with m.mu held.
func (f *memFile) usable(forbidden int) error {
	switch {
	case f.m.crashed:
		return ErrCrashed
	case f.closed:
		return fs.ErrClosed
	case f.flag&(os.O_WRONLY|os.O_RDWR) == forbidden:
		return syscall.EBADF
	}
	return nil
}

// anyMode, as the forbidden mode, forbids none.
const anyMode = -1

func (f *memFile) failed(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

func (f *memFile) ReadAt(p []byte, pos int64) (int, error) {
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	err := f.usable(os.O_WRONLY)
	if err == nil && pos < 0 {
		err = syscall.EINVAL
	}
	if err != nil {
		return 0, f.failed("read", err)
	}
	n := f.node.read(p, pos)
	f.m.counts.reads.Add(1)
	f.m.counts.readBytes.Add(int64(n))
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, pos int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.usable(os.O_RDONLY)
	switch {
	case err != nil:
	case pos < 0:
		err = syscall.EINVAL
	case pos > maxFileBytes-int64(len(p)):
		err = syscall.EFBIG
	}
	if err != nil {
		return 0, f.failed("write", err)
	}
	before := f.node.allocated
	n := f.node.write(f.m.epoch, p, pos, f.m.room())
	f.m.used += f.node.allocated - before
	f.m.counts.writes.Add(1)
	f.m.counts.writtenBytes.Add(int64(n))
	if n < len(p) {
		return n, f.failed("write", syscall.ENOSPC)
	}
	return n, nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.RLock()
	defer f.m.mu.RUnlock()
	if err := f.usable(anyMode); err != nil {
		return 0, f.failed("stat", err)
	}
	return f.node.size, nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.usable(os.O_RDONLY)
	switch {
	case err == syscall.EBADF, err == nil && size < 0:
		err = syscall.EINVAL
	case err == nil && size > maxFileBytes:
		err = syscall.EFBIG
	}
	if err != nil {
		return f.failed("truncate", err)
	}
	f.m.truncate(f.node, size)
	return nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(anyMode); err != nil {
		return f.failed("sync", err)
	}
	f.node.sync(f.m.epoch)
	f.m.counts.syncs.Add(1)
	return nil
}

func (f *memFile) Datasync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.usable(anyMode); err != nil {
		return f.failed("fdatasync", err)
	}
	f.node.sync(f.m.epoch)
	f.m.counts.datasyncs.Add(1)
	return nil
}

// failSync is what a hook that fails a sync does to the file.
func (f *memFile) failSync() {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.usable(anyMode) == nil {
		f.node.failSync(f.m.epoch)
	}
}

func (f *memFile) WriteBack(pos, n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.usable(anyMode)
	if err == nil && (pos < 0 || n < 0) {
		err = syscall.EINVAL
	}
	if err != nil {
		return f.failed("writeback", err)
	}
	f.node.writeBack(f.m.epoch, pos, n)
	f.m.counts.writeBacks.Add(1)
	return nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return f.close()
}

func (f *memFile) close() error {
	if err := f.usable(anyMode); err != nil {
		return f.failed("close", err)
	}
	f.closed = true
	f.node.opens--
	f.m.release(f.node)
	return nil
}

// memLock holds the lock of a file.
type memLock struct{ file memFile }

func (l *memLock) Close() error {
	l.file.m.mu.Lock()
	defer l.file.m.mu.Unlock()
	err := l.file.close()
	if err == nil {
		l.file.node.locked = false
	}
	return err
}
