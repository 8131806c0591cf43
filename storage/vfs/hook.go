package vfs

import (
	"io"
	"io/fs"
	"os"
)

// Kind is a kind of operation on a file system.
type Kind int

// The operations that a hook sees. Closing is none: it cannot be prevented.
const (
	OpOpen   Kind = iota // OpenFile without O_CREATE
	OpCreate             // OpenFile with O_CREATE, whether or not the file exists
	OpMkdir
	OpRemove
	OpRename
	OpReadDir
	OpStat
	OpSyncDir
	OpLock
	OpFree
	OpRead
	OpWrite
	OpSize
	OpTruncate
	OpSync
	OpDatasync
	OpWriteBack
)

// String returns the name of a kind as it is in a transcript.
func (k Kind) String() string {
	return [...]string{
		OpOpen: "open", OpCreate: "create", OpMkdir: "mkdir", OpRemove: "remove",
		OpRename: "rename", OpReadDir: "readdir", OpStat: "stat", OpSyncDir: "syncdir",
		OpLock: "lock", OpFree: "free", OpRead: "read", OpWrite: "write", OpSize: "size",
		OpTruncate: "truncate", OpSync: "sync", OpDatasync: "datasync", OpWriteBack: "writeback",
	}[k]
}

// Changes reports whether operations of the kind may change what a crash or a power loss
// leaves, so that before and after them are different points to crash at.
func (k Kind) Changes() bool {
	switch k {
	case OpOpen, OpReadDir, OpStat, OpFree, OpRead, OpSize:
		return false
	}
	return true
}

// Op is one operation, about to be done.
type Op struct {
	Kind Kind
	Name string // as given to the FS, or to the OpenFile of the file
	To   string // the new name, of OpRename
	Pos  int64  // in bytes, of OpRead, OpWrite and OpWriteBack; the size, of OpTruncate
	Len  int64  // in bytes, of OpRead, OpWrite and OpWriteBack
}

// WithHook returns a file system that calls hook before each operation of another. The
// hook is called from the goroutines of the callers with no lock held: it may block, and
// may clone or crash a Mem. If it returns an error, that is what the operation returns, and
// nothing is done. An OpSync or OpDatasync that fails this way on a Mem leaves what was
// unsynced in doubt for good, as the package comment says.
func WithHook(under FS, hook func(Op) error) FS { return &hooked{under, hook} }

type hooked struct {
	under FS
	hook  func(Op) error
}

func (h *hooked) OpenFile(name string, flag int) (File, error) {
	kind := OpOpen
	if flag&os.O_CREATE != 0 {
		kind = OpCreate
	}
	if err := h.hook(Op{Kind: kind, Name: name}); err != nil {
		return nil, err
	}
	f, err := h.under.OpenFile(name, flag)
	if err != nil {
		return nil, err
	}
	return &hookedFile{f, name, h.hook}, nil
}

func (h *hooked) Mkdir(name string) error {
	if err := h.hook(Op{Kind: OpMkdir, Name: name}); err != nil {
		return err
	}
	return h.under.Mkdir(name)
}

func (h *hooked) Remove(name string) error {
	if err := h.hook(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	return h.under.Remove(name)
}

func (h *hooked) Rename(from, to string) error {
	if err := h.hook(Op{Kind: OpRename, Name: from, To: to}); err != nil {
		return err
	}
	return h.under.Rename(from, to)
}

func (h *hooked) ReadDir(name string) ([]string, error) {
	if err := h.hook(Op{Kind: OpReadDir, Name: name}); err != nil {
		return nil, err
	}
	return h.under.ReadDir(name)
}

func (h *hooked) Stat(name string) (fs.FileInfo, error) {
	if err := h.hook(Op{Kind: OpStat, Name: name}); err != nil {
		return nil, err
	}
	return h.under.Stat(name)
}

func (h *hooked) SyncDir(name string) error {
	if err := h.hook(Op{Kind: OpSyncDir, Name: name}); err != nil {
		return err
	}
	return h.under.SyncDir(name)
}

func (h *hooked) Lock(name string) (io.Closer, error) {
	if err := h.hook(Op{Kind: OpLock, Name: name}); err != nil {
		return nil, err
	}
	return h.under.Lock(name)
}

func (h *hooked) Free(name string) (int64, error) {
	if err := h.hook(Op{Kind: OpFree, Name: name}); err != nil {
		return 0, err
	}
	return h.under.Free(name)
}

type hookedFile struct {
	under File
	name  string
	hook  func(Op) error
}

func (f *hookedFile) Close() error { return f.under.Close() }

func (f *hookedFile) ReadAt(p []byte, pos int64) (int, error) {
	if err := f.hook(Op{Kind: OpRead, Name: f.name, Pos: pos, Len: int64(len(p))}); err != nil {
		return 0, err
	}
	return f.under.ReadAt(p, pos)
}

func (f *hookedFile) WriteAt(p []byte, pos int64) (int, error) {
	if err := f.hook(Op{Kind: OpWrite, Name: f.name, Pos: pos, Len: int64(len(p))}); err != nil {
		return 0, err
	}
	return f.under.WriteAt(p, pos)
}

func (f *hookedFile) Size() (int64, error) {
	if err := f.hook(Op{Kind: OpSize, Name: f.name}); err != nil {
		return 0, err
	}
	return f.under.Size()
}

func (f *hookedFile) Truncate(size int64) error {
	if err := f.hook(Op{Kind: OpTruncate, Name: f.name, Pos: size}); err != nil {
		return err
	}
	return f.under.Truncate(size)
}

func (f *hookedFile) Sync() error {
	if err := f.hook(Op{Kind: OpSync, Name: f.name}); err != nil {
		f.failSync()
		return err
	}
	return f.under.Sync()
}

func (f *hookedFile) Datasync() error {
	if err := f.hook(Op{Kind: OpDatasync, Name: f.name}); err != nil {
		f.failSync()
		return err
	}
	return f.under.Datasync()
}

// failSync passes a failed sync down to the file of a Mem, through other hooks.
func (f *hookedFile) failSync() {
	if file, ok := f.under.(interface{ failSync() }); ok {
		file.failSync()
	}
}

func (f *hookedFile) WriteBack(pos, n int64) error {
	if err := f.hook(Op{Kind: OpWriteBack, Name: f.name, Pos: pos, Len: n}); err != nil {
		return err
	}
	return f.under.WriteBack(pos, n)
}
