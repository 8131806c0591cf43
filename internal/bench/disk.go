package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/almadia/almadia/storage/vfs"
)

// diskFileBytes is the preallocated file that the ceiling writes round and round.
const diskFileBytes = 64 << 20

// groupBytes is what one sync covers: what a broker under full load gathers meanwhile.
const groupBytes = 1 << 20

// disk writes and syncs, and does nothing else: the other ceiling.
type disk struct {
	file vfs.File
	pos  int64
	b    []byte
}

func openDisk(dir string) (*disk, error) {
	f, err := vfs.OS.OpenFile(filepath.Join(dir, "ceiling"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	d := &disk{file: f, b: make([]byte, groupBytes)}
	for pos := int64(0); pos < diskFileBytes; pos += groupBytes {
		if _, err := f.WriteAt(d.b, pos); err != nil {
			return nil, err
		}
	}
	for i := range d.b {
		d.b[i] = byte(i * 7)
	}
	return d, f.Sync()
}

func (d *disk) close() { d.file.Close() }

func (d *disk) write(ctx context.Context, length time.Duration) (int64, error) {
	var n int64
	for end := time.Now().Add(length); time.Now().Before(end) && ctx.Err() == nil; n += groupBytes {
		if _, err := d.file.WriteAt(d.b, d.pos); err != nil {
			return n, err
		}
		if err := d.file.Datasync(); err != nil {
			return n, err
		}
		d.pos = (d.pos + groupBytes) % diskFileBytes
	}
	return n, ctx.Err()
}
