//go:build linux || darwin || freebsd

package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// OS is the file system of the system. Files get mode 0644 and directories 0755, less
// the umask.
var OS FS = system{}

type system struct{}

func (system) OpenFile(name string, flag int) (File, error) {
	if flag&^openFlags != 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EINVAL}
	}
	f, err := os.OpenFile(name, flag, 0o644)
	if err != nil {
		return nil, err
	}
	return &systemFile{File: f}, nil
}

func (system) Mkdir(name string) error { return os.Mkdir(name, 0o755) }

func (system) Remove(name string) error { return os.Remove(name) }

func (system) Rename(from, to string) error { return os.Rename(from, to) }

func (system) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

func (system) Stat(name string) (fs.FileInfo, error) { return os.Stat(name) }

func (system) SyncDir(name string) error {
	dir, err := os.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Lock uses flock, which belongs to the open file: a second Lock fails in the same
// process too, and closing another descriptor of the file does not release it.
func (system) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = control(f, "flock", func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (system) Free(name string) (int64, error) {
	var stat unix.Statfs_t
	err := retry(func() error { return unix.Statfs(name, &stat) })
	if err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(stat.Bavail) * int64(stat.Bsize), nil
}

// systemFile is an open file of the system. The os package already goes on after short
// writes and interrupted calls, except in the calls made here by hand.
type systemFile struct {
	*os.File
}

func (f *systemFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *systemFile) Datasync() error { return datasync(f.File) }

func (f *systemFile) WriteBack(pos, n int64) error {
	if pos < 0 || n < 0 {
		return &fs.PathError{Op: "writeback", Path: f.Name(), Err: syscall.EINVAL}
	}
	if n == 0 {
		return nil
	}
	return writeBack(f.File, pos, n)
}

// control makes a system call on the descriptor of f, which cannot be closed meanwhile.
func control(f *os.File, op string, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: err}
	}
	if conn.Control(func(fd uintptr) {
		err = retry(func() error { return call(int(fd)) })
	}) != nil {
		err = fs.ErrClosed // it could not be called
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: f.Name(), Err: err}
	}
	return nil
}

// retry makes a system call until no signal interrupts it.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
