package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// zeroChunkBytes is how much of a new file is zeroed with one write.
const zeroChunkBytes = 1 << 20

// Create makes the files of a new, empty journal, zeroed, and syncs them and their
// directory. What an attempt that failed has left is overwritten.
func Create(cfg Config) (State, error) {
	cfg = cfg.withDefaults()
	s := State{ends: make(map[uint64]LSN)}
	for number := range uint64(cfg.MinFiles) {
		s.Files = append(s.Files, number+1)
		s.ends[number+1] = 0
	}
	if err := cfg.makeFiles(s.Files); err != nil {
		return State{}, err
	}
	return s, nil
}

// makeFiles makes files that may be named afterwards.
func (c *Config) makeFiles(numbers []uint64) error {
	if len(numbers) == 0 {
		return nil
	}
	for _, number := range numbers {
		if err := c.makeFile(number); err != nil {
			return err
		}
	}
	return c.syncDir()
}

// makeFile makes and syncs a file of zeros. They are written, for where nothing was
// written yet the disk has no place, and each sync of data would have to store one as well.
func (c *Config) makeFile(number uint64) error {
	if err := c.writeZeros(c.name(number)); err != nil {
		return fmt.Errorf("make journal file %d: %w", number, err)
	}
	return nil
}

func (c *Config) writeZeros(name string) error {
	f, err := c.FS.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(zeroChunkBytes, c.FileBytes))
	for pos := int64(0); pos < c.FileBytes && err == nil; pos += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), c.FileBytes-pos)], pos)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (c *Config) syncDir() error {
	if err := c.FS.SyncDir(c.Dir); err != nil {
		return fmt.Errorf("sync journal directory %s: %w", c.Dir, err)
	}
	return nil
}

// discard removes a file for which the disk had no room.
func (c *Config) discard(number uint64) error {
	if err := c.FS.Remove(c.name(number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove journal file %d: %w", number, err)
	}
	return nil
}

// diskFull tells errors that only keep a file from being made.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
