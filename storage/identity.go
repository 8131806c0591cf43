package storage

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	storagev1 "github.com/almadia/almadia/gen/go/almadia/storage/v1"
	"github.com/almadia/almadia/storage/journal"
	"github.com/almadia/almadia/storage/vfs"
)

// identity is the content of the file of that name. Nothing else in the directory is
// written before it is durable, and a start raises starts before it writes anything.
type identity struct {
	directory [16]byte
	starts    uint64 // 0: the directory is still being made
}

func readIdentity(fsys vfs.FS, dir string) (identity, error) {
	var id identity
	b, err := readFile(fsys, dir+"/"+identityFile)
	if err != nil {
		return id, err
	}
	var m storagev1.Identity
	if err := unseal(kindIdentity, b, &m); err != nil {
		return id, fmt.Errorf("read %s/%s: %w", dir, identityFile, err)
	}
	if copy(id.directory[:], m.DirectoryId) != len(id.directory) || len(m.DirectoryId) != len(id.directory) {
		return id, fmt.Errorf("read %s/%s: directory id of %d bytes: %w", dir, identityFile, len(m.DirectoryId), ErrCorrupt)
	}
	id.starts = m.Starts
	return id, nil
}

func (id identity) write(fsys vfs.FS, dir string) error {
	b, err := seal(kindIdentity, &storagev1.Identity{DirectoryId: id.directory[:], Starts: id.starts})
	if err != nil {
		return err
	}
	return replaceFile(fsys, dir, identityFile, b)
}

// identify finds out whose directory it is, and marks an empty one as ours. It
// reports a new one, too, if an earlier start died while making it.
func identify(fsys vfs.FS, dir string) (id identity, isNew bool, err error) {
	id, err = readIdentity(fsys, dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return id, err == nil && id.starts == 0, err
	}
	if err := checkForeign(fsys, dir); err != nil {
		return id, false, err
	}
	if _, err := rand.Read(id.directory[:]); err != nil {
		return id, false, fmt.Errorf("draw a directory id: %w", err)
	}
	return id, true, id.write(fsys, dir)
}

// checkForeign refuses a directory that holds something, but no identity.
func checkForeign(fsys vfs.FS, dir string) error {
	if there, err := exists(fsys, dir+"/"+identityFile); there || err != nil {
		return err
	}
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", dir, err)
	}
	for _, name := range names {
		if name != lockFile && name != identityFile+temporary {
			return fmt.Errorf("it holds %s: %w", name, ErrForeign)
		}
	}
	return nil
}

// furnish makes what every data directory has: an empty journal, and a checkpoint of
// nothing. What an earlier attempt left is overwritten.
func furnish(cfg Config, id identity) error {
	if err := cfg.FS.SyncDir(path.Dir(cfg.Dir)); err != nil {
		return fmt.Errorf("sync directory %s: %w", path.Dir(cfg.Dir), err)
	}
	for _, name := range []string{journalDir, logsDir} {
		if err := mkdir(cfg.FS, cfg.Dir, name); err != nil {
			return err
		}
	}
	if err := removeAll(cfg.FS, cfg.Dir+"/"+journalDir); err != nil {
		return err
	}
	js, err := journal.Create(cfg.journal(id))
	if err != nil {
		return fmt.Errorf("create the journal: %w", err)
	}
	empty := snapshot{lsn: js.LSN, clean: true}
	return writeCheckpoint(cfg, empty.encode(id, js))
}

func removeAll(fsys vfs.FS, dir string) error {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read directory %s: %w", dir, err)
	}
	for _, name := range names {
		if err := fsys.Remove(dir + "/" + name); err != nil {
			return fmt.Errorf("remove %s/%s: %w", dir, name, err)
		}
	}
	return nil
}

func lockDir(cfg Config) (io.Closer, error) {
	lock, err := cfg.FS.Lock(cfg.Dir + "/" + lockFile)
	if errors.Is(err, vfs.ErrLocked) {
		err = ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("lock it: %w", err)
	}
	return lock, nil
}
