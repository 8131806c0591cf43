// Package vfs is the file system as the store uses it: few calls, each with its
// durability said. There are two, and each can stand in for the other: the system's
// ([OS]) and one in memory ([Mem]). [WithHook] wraps either, to watch, delay or fail calls.
//
// # What is durable when
//
// A process that dies loses nothing that a call has returned from: the page cache
// survives it. A power loss keeps only what was synced, and of the rest any part:
//
//   - content and length of a file: after Sync or Datasync of the file;
//   - a name (created, renamed, removed): after SyncDir of its directory. A synced file
//     whose name is not durable is lost with its name;
//   - a rename is one step: afterwards the file has its old name or its new one.
//
// [Mem.PowerLoss] plays that out in memory, sector by sector and name by name.
//
// # What is not promised
//
// After a failed Sync or Datasync the unsynced content of the file is in doubt for good: a
// second Sync that succeeds says nothing about it, because the system may have marked its
// pages clean. Write it again, or give the file up. Mem behaves so as well, when a hook
// fails the sync.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// ErrLocked says that another open file holds the lock.
var ErrLocked = errors.New("vfs: file is locked")

// ErrCrashed is returned by a Mem, its files and its locks after Crash or PowerLoss.
var ErrCrashed = errors.New("vfs: file system has crashed")

// openFlags are the flags that OpenFile knows; any other is EINVAL.
const openFlags = os.O_RDONLY | os.O_WRONLY | os.O_RDWR | os.O_CREATE | os.O_EXCL | os.O_TRUNC

// FS is a file system. Names are paths with slashes. Methods return errors that
// satisfy errors.Is with fs.ErrNotExist, fs.ErrExist and, for a full disk,
// syscall.ENOSPC. All methods may be called from many goroutines.
type FS interface {
	// OpenFile opens a file with the flags of package os (O_RDONLY, O_WRONLY, O_RDWR,
	// O_CREATE, O_EXCL, O_TRUNC; no others). A created file's entry is durable only
	// after SyncDir.
	OpenFile(name string, flag int) (File, error)
	// Mkdir creates one directory. Its entry is durable only after SyncDir of the parent.
	Mkdir(name string) error
	// Remove unlinks a file or an empty directory.
	Remove(name string) error
	// Rename moves a file or directory. A file replaces the file that had the new name;
	// nothing replaces a directory.
	// Atomic even over a power loss; durable only after SyncDir of the directory of
	// the new name.
	Rename(from, to string) error
	// ReadDir lists the names in a directory, sorted.
	ReadDir(name string) ([]string, error)
	// Stat describes a file.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the entries of a directory durable.
	SyncDir(name string) error
	// Lock takes the exclusive lock of a file, which it creates if need be, without
	// waiting: ErrLocked if it is held, be it by this process. Close releases the lock;
	// so does the end of the process.
	Lock(name string) (io.Closer, error)
	// Free says how many bytes the file system that holds name, which must exist, can
	// still take.
	Free(name string) (int64, error)
}

// File is an open file. All methods may be called from many goroutines. A removed file
// stays readable and writable until it is closed.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is the length in bytes.
	Size() (int64, error)
	// Truncate sets the length; what is added reads as zeros.
	Truncate(size int64) error
	// Sync makes content and all attributes durable.
	Sync() error
	// Datasync makes content and length durable.
	Datasync() error
	// WriteBack asks the system to start writing a range of n bytes, without waiting
	// for it and without any promise.
	WriteBack(pos, n int64) error
}
