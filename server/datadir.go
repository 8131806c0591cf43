package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/vfs"
)

// openStore opens the data directory, and recovers it.
func (s *Server) openStore() (*storage.Store, error) {
	if err := makeParents(s.cfg.FS, s.cfg.DataDir); err != nil {
		return nil, fmt.Errorf("make data directory %s: %w", s.cfg.DataDir, err)
	}
	store, err := storage.Open(storage.Config{
		FS: timedFS{s.cfg.FS, s.metrics.synced}, Dir: s.cfg.DataDir, BootID: bootID(), Logger: s.cfg.Logger,
	})
	switch {
	case errors.Is(err, storage.ErrLocked):
		return nil, fmt.Errorf("%w; stop that one, or choose another --data-dir", err)
	case errors.Is(err, storage.ErrForeign):
		return nil, fmt.Errorf("%w; choose an empty one with --data-dir", err)
	case errors.Is(err, storage.ErrNewer):
		return nil, fmt.Errorf("%w; start the release that wrote it", err)
	case err != nil:
		return nil, err
	}
	return store, nil
}

// makeParents makes the directories above dir, durably.
func makeParents(fsys vfs.FS, dir string) error {
	parent := path.Dir(path.Clean(dir))
	if _, err := fsys.Stat(parent); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeParents(fsys, parent); err != nil {
		return err
	}
	if err := fsys.Mkdir(parent); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return fsys.SyncDir(path.Dir(parent))
}

// bootID identifies this run of the operating system, where it says so.
func bootID() []byte {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil
	}
	return id
}

// placeMetadata puts the metadata log on the host, and makes it in a new directory. One with
// logs and without this one has lost it: the logs' names stood there.
func (s *Server) placeMetadata() error {
	if s.store.Log(meta.MetadataLog) == nil {
		if n := len(s.store.Logs()); n > 0 {
			return fmt.Errorf("data directory %s holds %d logs and no metadata; it is damaged, and is left as it is", s.cfg.DataDir, n)
		}
		self := storage.ReplicaID(s.cfg.NodeID)
		replica, err := s.host.Create(meta.MetadataLog, self, []storage.ReplicaID{self}, storage.Settings{}, s.metadata)
		if err != nil {
			return err
		}
		s.metadata.Attach(replica)
		return nil
	}
	if err := s.checkReplica(); err != nil {
		return err
	}
	replica, err := s.host.Open(meta.MetadataLog, s.metadata)
	if err != nil {
		return err
	}
	s.metadata.Attach(replica)
	return nil
}

// checkReplica refuses a directory of another node before anything is written to a log of it:
// the replica of the metadata has the number of its node.
func (s *Server) checkReplica() error {
	if node := s.store.Log(meta.MetadataLog).Replica(); uint64(node) != s.cfg.NodeID {
		return fmt.Errorf("data directory %s belongs to node %d; start it with --node-id %d", s.cfg.DataDir, node, node)
	}
	return nil
}

// checkNode refuses a directory that another broker wrote.
func (s *Server) checkNode() error {
	brokers := s.metadata.Image().Brokers()
	if _, known := s.metadata.Image().Broker(meta.NodeID(s.cfg.NodeID)); known || len(brokers) == 0 {
		return nil
	}
	return fmt.Errorf("data directory %s belongs to node %d; start it with --node-id %d", s.cfg.DataDir, brokers[0].ID, brokers[0].ID)
}
