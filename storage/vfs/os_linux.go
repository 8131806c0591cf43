package vfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func datasync(f *os.File) error { return control(f, "fdatasync", unix.Fdatasync) }

// writeBack is advice, so a file system that cannot take it is no error; a failed write
// is one.
func writeBack(f *os.File, pos, n int64) error {
	err := control(f, "sync_file_range", func(fd int) error {
		return unix.SyncFileRange(fd, pos, n, unix.SYNC_FILE_RANGE_WRITE)
	})
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}
