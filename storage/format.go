package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"

	"google.golang.org/protobuf/proto"

	"github.com/almadia/almadia/storage/vfs"
)

// The files of a data directory.
//
//	LOCK                     held while a Store is open
//	identity                 Identity
//	ckpt-<20-digit lsn>      Checkpoint; two are kept
//	journal/                 see package journal
//	logs/<log>-<replica>/    segments, and the indexes of sealed ones
//	POISONED                 the error that ended the last run, if one did
const (
	lockFile     = "LOCK"
	identityFile = "identity"
	poisonedFile = "POISONED"
	journalDir   = "journal"
	logsDir      = "logs"
	// temporary ends the name of a file that is being made. Recovery removes them.
	temporary = ".tmp"
)

func logDir(id LogID, replica ReplicaID) string { return fmt.Sprintf("%d-%d", id, replica) }

func segmentName(base Offset, number SegmentNumber) string {
	return fmt.Sprintf("%020d-%d.seg", base, number)
}

// An envelope stands before the one Protobuf message of a file that is replaced as a
// whole:
//
//	0   "ALMADIA"    magic
//	7   kind         one of the envelope kinds
//	8   version      of the format, little endian as all numbers here
//	12  length       of the message
//	16  crc          CRC-32C of octets 0 to 15 and the message
//	20  message
const (
	envelopeMagic   = "ALMADIA"
	envelopeVersion = 1
	envelopeSize    = 20

	kindIdentity   = 'I'
	kindCheckpoint = 'C'
	kindIndex      = 'X'
)

func seal(kind byte, m proto.Message) ([]byte, error) {
	b := make([]byte, envelopeSize, envelopeSize+proto.Size(m))
	b, err := proto.MarshalOptions{}.MarshalAppend(b, m)
	if err != nil {
		return nil, err
	}
	copy(b, envelopeMagic)
	b[7] = kind
	binary.LittleEndian.PutUint32(b[8:], envelopeVersion)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(b)-envelopeSize))
	binary.LittleEndian.PutUint32(b[16:], envelopeCRC(b))
	return b, nil
}

// unseal reads what seal made. The version comes first: a later release may have
// changed everything after it.
func unseal(kind byte, b []byte, m proto.Message) error {
	switch {
	case len(b) < envelopeSize || string(b[:7]) != envelopeMagic || b[7] != kind:
		return fmt.Errorf("no envelope of kind %q: %w", kind, ErrCorrupt)
	case binary.LittleEndian.Uint32(b[8:]) > envelopeVersion:
		return fmt.Errorf("version %d, want at most %d: %w", binary.LittleEndian.Uint32(b[8:]), envelopeVersion, ErrNewer)
	case uint64(binary.LittleEndian.Uint32(b[12:])) != uint64(len(b)-envelopeSize):
		return fmt.Errorf("message of %d bytes, want %d: %w", len(b)-envelopeSize, binary.LittleEndian.Uint32(b[12:]), ErrCorrupt)
	case binary.LittleEndian.Uint32(b[16:]) != envelopeCRC(b):
		return fmt.Errorf("checksum: %w", ErrCorrupt)
	}
	if err := proto.Unmarshal(b[envelopeSize:], m); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func envelopeCRC(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:16], castagnoli), castagnoli, b[envelopeSize:])
}

// replaceFile puts a file in place so that after any crash either the old or the new
// one is there, whole.
func replaceFile(fsys vfs.FS, dir, name string, content []byte) error {
	path := dir + "/" + name
	if err := createFile(fsys, path+temporary, content); err != nil {
		return err
	}
	if err := fsys.Rename(path+temporary, path); err != nil {
		return fmt.Errorf("rename to %s: %w", path, err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

func createFile(fsys vfs.FS, path string, content []byte) (err error) {
	f, err := fsys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close %s: %w", path, cerr)
		}
	}()
	if _, err := f.WriteAt(content, 0); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

func readFile(fsys vfs.FS, path string) ([]byte, error) {
	f, err := fsys.OpenFile(path, os.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("size of %s: %w", path, err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read %s: %w", path, noEOF(err))
	}
	return b, nil
}

// noEOF makes an end of file that comes too early an error that nobody takes for success.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func exists(fsys vfs.FS, path string) (bool, error) {
	_, err := fsys.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// mkdir makes a directory unless it is there, and makes it durable either way: a
// process that died may have left it unsynced.
func mkdir(fsys vfs.FS, parent, name string) error {
	path := parent + "/" + name
	if err := fsys.Mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory %s: %w", path, err)
	}
	if err := fsys.SyncDir(parent); err != nil {
		return fmt.Errorf("sync directory %s: %w", parent, err)
	}
	return nil
}
