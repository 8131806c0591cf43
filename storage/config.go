package storage

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/journal"
	"github.com/almadia/almadia/storage/vfs"
)

// The numbers of package batch under the names that the rooms above use.
type (
	Offset        = batch.Offset
	Index         = batch.Index
	Term          = batch.Term
	LogID         = batch.LogID
	ReplicaID     = batch.ReplicaID
	SegmentNumber = batch.SegmentNumber
)

const (
	// defaultSegmentBytes and maxSegmentBytes bound Settings.SegmentBytes.
	defaultSegmentBytes = 128 << 20
	maxSegmentBytes     = 1 << 30
	// defaultCheckpointBytes of journal are at most replayed after a crash, and what
	// is written while a checkpoint is made.
	defaultCheckpointBytes = 256 << 20
)

// Config says where and how a Store lives.
type Config struct {
	// FS holds Dir. Required.
	FS vfs.FS
	// Dir is the data directory. It is made if it is missing; its parent must exist. Required.
	Dir string
	// BootID identifies this run of the operating system; empty if unknown.
	BootID []byte
	// Logger takes what recovery finds and what poisons the directory. Default: none.
	Logger *slog.Logger
	// JournalFileBytes, MinJournalFiles and MaxJournalFiles: see journal.Config.
	JournalFileBytes int64
	MinJournalFiles  int
	MaxJournalFiles  int
	// CheckpointBytes of journal make a checkpoint due. Default 256 MiB.
	CheckpointBytes int64
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.CheckpointBytes == 0 {
		c.CheckpointBytes = defaultCheckpointBytes
	}
	return c
}

func (c Config) journal(id identity) journal.Config {
	return journal.Config{
		FS:          c.FS,
		Dir:         c.Dir + "/" + journalDir,
		DirectoryID: id.directory,
		Generation:  id.starts,
		FileBytes:   c.JournalFileBytes,
		MinFiles:    c.MinJournalFiles,
		MaxFiles:    c.MaxJournalFiles,
	}
}

// Settings of a log say when a segment file is followed by the next. See Log.Configure.
type Settings struct {
	// SegmentBytes is the size at which a segment is followed by the next, in
	// bytes. A frame larger than that has a file of its own. 0: 128 MiB; at most 1 GiB.
	SegmentBytes int64
	// SegmentTime is the age, by append times, at which a segment with records in it
	// is followed by the next. 0: no age.
	SegmentTime time.Duration
}

func (s Settings) checked() (Settings, error) {
	if s.SegmentBytes == 0 {
		s.SegmentBytes = defaultSegmentBytes
	}
	if s.SegmentBytes < 0 || s.SegmentBytes > maxSegmentBytes {
		return s, fmt.Errorf("segment size of %d bytes: want 1 to %d", s.SegmentBytes, maxSegmentBytes)
	}
	if s.SegmentTime < 0 {
		return s, fmt.Errorf("segment age of %v: want 0 or more", s.SegmentTime)
	}
	return s, nil
}
