package storage

import (
	"errors"

	"github.com/almadia/almadia/storage/batch"
)

// Errors of this package, wrapped with what was being done.
var (
	// ErrCompacted: the entry or offset is before the log's start.
	ErrCompacted = errors.New("entry is before the log's start")
	// ErrUnavailable: the entry is beyond the log's end.
	ErrUnavailable = errors.New("entry is beyond the log's end")
	// ErrCorrupt: bytes below the log's end are not those that were written. It names
	// the file and the position. The rest of the log stays readable.
	ErrCorrupt = batch.ErrCorrupt
	// ErrClosed: the store is closed, or the log was given up.
	ErrClosed = errors.New("store is closed")
	// ErrExists: the log exists, or this replica of it did once.
	ErrExists = errors.New("log or replica id was used before")
	// ErrLocked: another process holds the data directory.
	ErrLocked = errors.New("data directory is in use by another process")
	// ErrForeign: the directory holds files, but is no data directory.
	ErrForeign = errors.New("directory is not empty and is not a data directory")
	// ErrNewer: a file was written by a later release.
	ErrNewer = errors.New("file has a newer format version than this release reads")
	// ErrPoisoned: a write or sync failed; nothing is written any more.
	ErrPoisoned = errors.New("data directory is poisoned by a failed write")
)
