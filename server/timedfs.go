package server

import (
	"path"
	"time"

	"github.com/almadia/almadia/storage/vfs"
)

// timedFS tells how long the syncs of journal files take: it is these that acknowledgements
// wait for.
type timedFS struct {
	vfs.FS
	synced func(time.Duration) // called by many goroutines
}

func (t timedFS) OpenFile(name string, flag int) (vfs.File, error) {
	f, err := t.FS.OpenFile(name, flag)
	if err != nil || path.Ext(name) != ".journal" {
		return f, err
	}
	return timedFile{f, t.synced}, nil
}

type timedFile struct {
	vfs.File
	synced func(time.Duration)
}

func (t timedFile) Datasync() error {
	began := time.Now()
	err := t.File.Datasync()
	t.synced(time.Since(began))
	return err
}
