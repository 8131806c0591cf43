package journal

import (
	"fmt"

	"github.com/almadia/almadia/storage/vfs"
)

const (
	defaultFileBytes = 64 << 20
	defaultMinFiles  = 8
	defaultMaxFiles  = 32
	// minFileBytes has room for a few blocks besides those that end a file.
	minFileBytes = 8 * pageBytes
	// minFiles are the one in use, the one that a checkpoint sets free, and the next start's.
	minFiles = 3
	// tailBytes at the end of a file take no ordinary block: one page is for a block
	// that vouches when the journal is full, one for the block that names a new file.
	tailBytes = 2 * pageBytes
)

// Config says where a journal lives.
type Config struct {
	// FS holds Dir. Required.
	FS vfs.FS
	// Dir is where the files are, and nothing else. It must exist, durably. Required.
	Dir string
	// DirectoryID is that of the data directory.
	DirectoryID [16]byte
	// Generation is the start counter of this start.
	Generation uint64
	// FileBytes is the size of a file, in bytes: at least 32 KiB, rounded up to 4 KiB.
	// Default 64 MiB. It must not change as long as the journal lives, and the records of
	// one Submit must fit into a file.
	FileBytes int64
	// MinFiles are made at the start. Default 8, at least 3.
	MinFiles int
	// Hold, if set, is asked before a flush. While it is true the journal is as good as
	// full: what is queued waits, barriers overtake it. Resume tells that to ask again.
	Hold func() bool
	// MaxFiles is the number beyond which the journal waits for a checkpoint instead of
	// growing. Default 32, at least MinFiles.
	MaxFiles int
}

func (c Config) withDefaults() Config {
	if c.FileBytes == 0 {
		c.FileBytes = defaultFileBytes
	}
	if c.MinFiles == 0 {
		c.MinFiles = defaultMinFiles
	}
	if c.MaxFiles == 0 {
		c.MaxFiles = defaultMaxFiles
	}
	c.FileBytes = padded(max(c.FileBytes, minFileBytes))
	c.MinFiles = max(c.MinFiles, minFiles)
	c.MaxFiles = max(c.MaxFiles, c.MinFiles)
	return c
}

// name is the path of a file.
func (c *Config) name(number uint64) string {
	return fmt.Sprintf("%s/%08d.journal", c.Dir, number)
}

// room bounds the block of one submission, in bytes.
func (c *Config) room() int64 { return c.FileBytes - tailBytes }
