package journal

import (
	"errors"
	"fmt"
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

// makeFiles makes files that may be named afterwards. Zeros are written, for blocks that
// were never written have no place on the disk yet, and a sync of data then has to
// sync their allocation as well.
func (c *Config) makeFiles(numbers []uint64) error {
	if len(numbers) == 0 {
		return nil
	}
	for _, number := range numbers {
		if err := c.makeFile(number); err != nil {
			return fmt.Errorf("make journal file %s: %w", c.name(number), err)
		}
	}
	if err := c.FS.SyncDir(c.Dir); err != nil {
		return fmt.Errorf("make journal files: sync directory %s: %w", c.Dir, err)
	}
	return nil
}

func (c *Config) makeFile(number uint64) error {
	f, err := c.FS.OpenFile(c.name(number), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
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

// diskFull tells errors that only keep a file from being made.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
