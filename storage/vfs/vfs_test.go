package vfs_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustBe(t testing.TB, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error is %v, want %v", got, want)
	}
}

func open(t testing.TB, f vfs.FS, name string, flag int) vfs.File {
	t.Helper()
	file, err := f.OpenFile(name, flag)
	must(t, err)
	return file
}

func create(t testing.TB, f vfs.FS, name string) vfs.File {
	t.Helper()
	return open(t, f, name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func write(t testing.TB, file vfs.File, pos int64, data []byte) {
	t.Helper()
	n, err := file.WriteAt(data, pos)
	must(t, err)
	if n != len(data) {
		t.Fatalf("wrote %d of %d bytes", n, len(data))
	}
}

// put creates a file with content and leaves all of it unsynced.
func put(t testing.TB, f vfs.FS, name, content string) {
	t.Helper()
	file := create(t, f, name)
	write(t, file, 0, []byte(content))
	must(t, file.Close())
}

func contentOf(t testing.TB, file vfs.File) []byte {
	t.Helper()
	size, err := file.Size()
	must(t, err)
	data := make([]byte, size)
	n, err := file.ReadAt(data, 0)
	must(t, err)
	if int64(n) != size {
		t.Fatalf("read %d of %d bytes", n, size)
	}
	return data
}

func get(t testing.TB, f vfs.FS, name string) []byte {
	t.Helper()
	file := open(t, f, name, os.O_RDONLY)
	data := contentOf(t, file)
	must(t, file.Close())
	return data
}

func wantContent(t testing.TB, f vfs.FS, name, want string) {
	t.Helper()
	if got := get(t, f, name); string(got) != want {
		t.Fatalf("%s holds %q, want %q", name, got, want)
	}
}

func exists(t testing.TB, f vfs.FS, name string) bool {
	t.Helper()
	_, err := f.Stat(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

// conformance is what every file system does. Names are made by at.
var conformance = []struct {
	name string
	test func(t *testing.T, f vfs.FS, at func(string) string)
}{
	{"a new file is empty and has its name", func(t *testing.T, f vfs.FS, at func(string) string) {
		put(t, f, at("a"), "")
		info, err := f.Stat(at("a"))
		must(t, err)
		if info.Size() != 0 || info.IsDir() || info.Name() != "a" || !info.Mode().IsRegular() {
			t.Fatalf("info is %v", info)
		}
	}},
	{"open without create wants the file to exist", func(t *testing.T, f vfs.FS, at func(string) string) {
		_, err := f.OpenFile(at("a"), os.O_RDWR)
		mustBe(t, err, fs.ErrNotExist)
		_, err = f.OpenFile(at("d/a"), os.O_RDWR|os.O_CREATE)
		mustBe(t, err, fs.ErrNotExist)
	}},
	{"exclusive create wants the file not to exist", func(t *testing.T, f vfs.FS, at func(string) string) {
		put(t, f, at("a"), "x")
		_, err := f.OpenFile(at("a"), os.O_RDWR|os.O_CREATE|os.O_EXCL)
		mustBe(t, err, fs.ErrExist)
		must(t, open(t, f, at("a"), os.O_RDWR|os.O_CREATE).Close())
		wantContent(t, f, at("a"), "x")
	}},
	{"open with truncation empties the file", func(t *testing.T, f vfs.FS, at func(string) string) {
		put(t, f, at("a"), "content")
		must(t, open(t, f, at("a"), os.O_RDWR|os.O_TRUNC).Close())
		wantContent(t, f, at("a"), "")
	}},
	{"other flags are refused", func(t *testing.T, f vfs.FS, at func(string) string) {
		_, err := f.OpenFile(at("a"), os.O_RDWR|os.O_CREATE|os.O_APPEND)
		mustBe(t, err, syscall.EINVAL)
	}},
	{"a directory is not opened for writing", func(t *testing.T, f vfs.FS, at func(string) string) {
		must(t, f.Mkdir(at("d")))
		_, err := f.OpenFile(at("d"), os.O_RDWR)
		mustBe(t, err, syscall.EISDIR)
		_, err = f.Lock(at("d"))
		mustBe(t, err, syscall.EISDIR)
	}},
	{"a file is not a directory", func(t *testing.T, f vfs.FS, at func(string) string) {
		put(t, f, at("a"), "")
		_, err := f.OpenFile(at("a/b"), os.O_RDWR|os.O_CREATE)
		mustBe(t, err, syscall.ENOTDIR)
		mustBe(t, f.Mkdir(at("a/b")), syscall.ENOTDIR)
		mustBe(t, f.SyncDir(at("a")), syscall.ENOTDIR)
		_, err = f.ReadDir(at("a"))
		mustBe(t, err, syscall.ENOTDIR)
	}},
	{"reads end at the end of the file", func(t *testing.T, f vfs.FS, at func(string) string) {
		file := create(t, f, at("a"))
		defer file.Close()
		write(t, file, 0, []byte("hello"))
		for _, c := range []struct {
			pos  int64
			len  int
			want string
			err  error
		}{{0, 5, "hello", nil}, {1, 3, "ell", nil}, {3, 5, "lo", io.EOF}, {5, 1, "", io.EOF}, {9, 1, "", io.EOF}, {9, 0, "", nil}} {
			p := make([]byte, c.len)
			n, err := file.ReadAt(p, c.pos)
			if string(p[:n]) != c.want || err != c.err {
				t.Errorf("read %d at %d: %q, %v; want %q, %v", c.len, c.pos, p[:n], err, c.want, c.err)
			}
		}
		if n, err := file.ReadAt(make([]byte, 1), -1); n != 0 || err == nil || err == io.EOF {
			t.Errorf("read at -1: %d, %v", n, err)
		}
		if n, err := file.WriteAt([]byte("x"), -1); n != 0 || err == nil {
			t.Errorf("write at -1: %d, %v", n, err)
		}
	}},
	{"bytes never written are zero", func(t *testing.T, f vfs.FS, at func(string) string) {
		file := create(t, f, at("a"))
		defer file.Close()
		write(t, file, 10_000, []byte("x"))
		write(t, file, 3, []byte("y"))
		want := make([]byte, 10_001)
		want[10_000], want[3] = 'x', 'y'
		if got := contentOf(t, file); !bytes.Equal(got, want) {
			t.Fatal("content differs")
		}
	}},
	{"writes cross pages", func(t *testing.T, f vfs.FS, at func(string) string) {
		file := create(t, f, at("a"))
		defer file.Close()
		want := make([]byte, 50_000)
		for i := range want {
			want[i] = byte(i * i >> 8)
		}
		for pos := 0; pos < len(want); pos += 777 {
			write(t, file, int64(pos), want[pos:min(pos+777, len(want))])
		}
		if got := contentOf(t, file); !bytes.Equal(got, want) {
			t.Fatal("content differs")
		}
	}},
	{"truncation cuts, and what is added again is zero", func(t *testing.T, f vfs.FS, at func(string) string) {
		file := create(t, f, at("a"))
		defer file.Close()
		write(t, file, 0, bytes.Repeat([]byte("x"), 20_000))
		must(t, file.Sync())
		must(t, file.Truncate(5_000))
		must(t, file.Truncate(30_000))
		want := append(bytes.Repeat([]byte("x"), 5_000), make([]byte, 25_000)...)
		if got := contentOf(t, file); !bytes.Equal(got, want) {
			t.Fatal("content differs")
		}
		mustBe(t, file.Truncate(-1), syscall.EINVAL)
	}},
	{"an empty write changes nothing", func(t *testing.T, f vfs.FS, at func(string) string) {
		file := create(t, f, at("a"))
		defer file.Close()
		write(t, file, 100, nil)
		if size, err := file.Size(); size != 0 || err != nil {
			t.Fatalf("size %d, %v", size, err)
		}
	}},
	{"the access mode holds", func(t *testing.T, f vfs.FS, at func(string) string) {
		put(t, f, at("a"), "x")
		reader, writer := open(t, f, at("a"), os.O_RDONLY), open(t, f, at("a"), os.O_WRONLY)
		defer reader.Close()
		defer writer.Close()
		_, err := reader.WriteAt([]byte("y"), 0)
		mustBe(t, err, syscall.EBADF)
		mustBe(t, reader.Truncate(0), syscall.EINVAL)
		_, err = writer.ReadAt(make([]byte, 1), 0)
		mustBe(t, err, syscall.EBADF)
		write(t, writer, 0, []byte("z"))
		wantContent(t, f, at("a"), "z")
	}},
	{"sync, datasync and write-back succeed", func(t *testing.T, f vfs.FS, at func(string) string) {
		file := create(t, f, at("a"))
		defer file.Close()
		write(t, file, 0, bytes.Repeat([]byte("x"), 20_000))
		must(t, file.WriteBack(4096, 8192))
		must(t, file.WriteBack(0, 0))
		must(t, file.WriteBack(1<<30, 4096))
		mustBe(t, file.WriteBack(-1, 1), syscall.EINVAL)
		must(t, file.Datasync())
		must(t, file.Sync())
		must(t, f.SyncDir(at(".")))
		mustBe(t, f.SyncDir(at("d")), fs.ErrNotExist)
	}},
	{"a closed file is closed", func(t *testing.T, f vfs.FS, at func(string) string) {
		file := create(t, f, at("a"))
		must(t, file.Close())
		_, err := file.ReadAt(make([]byte, 1), 0)
		mustBe(t, err, fs.ErrClosed)
		_, err = file.WriteAt(make([]byte, 1), 0)
		mustBe(t, err, fs.ErrClosed)
		_, err = file.Size()
		mustBe(t, err, fs.ErrClosed)
		for _, err := range []error{file.Sync(), file.Datasync(), file.Truncate(0), file.WriteBack(0, 1), file.Close()} {
			mustBe(t, err, fs.ErrClosed)
		}
	}},
	{"a removed file lives until it is closed", func(t *testing.T, f vfs.FS, at func(string) string) {
		put(t, f, at("a"), "hello")
		file := open(t, f, at("a"), os.O_RDWR)
		defer file.Close()
		must(t, f.Remove(at("a")))
		mustBe(t, f.Remove(at("a")), fs.ErrNotExist)
		put(t, f, at("a"), "other")
		write(t, file, 5, []byte("!"))
		if got := contentOf(t, file); string(got) != "hello!" {
			t.Fatalf("content is %q", got)
		}
		wantContent(t, f, at("a"), "other")
	}},
	{"directories nest and list their names sorted", func(t *testing.T, f vfs.FS, at func(string) string) {
		mustBe(t, f.Mkdir(at("d/e")), fs.ErrNotExist)
		must(t, f.Mkdir(at("d")))
		mustBe(t, f.Mkdir(at("d")), fs.ErrExist)
		mustBe(t, f.Mkdir(at(".")), fs.ErrExist)
		must(t, f.Mkdir(at("d/e")))
		put(t, f, at("d/z"), "")
		put(t, f, at("d/b"), "")
		names, err := f.ReadDir(at("d"))
		must(t, err)
		if want := []string{"b", "e", "z"}; !slices.Equal(names, want) {
			t.Fatalf("names are %q, want %q", names, want)
		}
		info, err := f.Stat(at("d/e"))
		must(t, err)
		if !info.IsDir() || !info.Mode().IsDir() {
			t.Fatal("not a directory")
		}
		_, err = f.ReadDir(at("x"))
		mustBe(t, err, fs.ErrNotExist)
	}},
	{"only an empty directory is removed", func(t *testing.T, f vfs.FS, at func(string) string) {
		must(t, f.Mkdir(at("d")))
		put(t, f, at("d/a"), "")
		mustBe(t, f.Remove(at("d")), syscall.ENOTEMPTY)
		must(t, f.Remove(at("d/a")))
		must(t, f.Remove(at("d")))
		if exists(t, f, at("d")) {
			t.Fatal("still there")
		}
	}},
	{"rename moves and replaces", func(t *testing.T, f vfs.FS, at func(string) string) {
		put(t, f, at("a"), "new")
		put(t, f, at("b"), "old")
		before := open(t, f, at("b"), os.O_RDONLY)
		defer before.Close()
		must(t, f.Rename(at("a"), at("b")))
		wantContent(t, f, at("b"), "new")
		if got := contentOf(t, before); string(got) != "old" {
			t.Fatalf("the open file became %q", got)
		}
		mustBe(t, f.Rename(at("a"), at("b")), fs.ErrNotExist)
		must(t, f.Rename(at("b"), at("b")))
		must(t, f.Mkdir(at("d")))
		must(t, f.Rename(at("b"), at("d/c")))
		wantContent(t, f, at("d/c"), "new")
		if exists(t, f, at("b")) {
			t.Fatal("the old name is still there")
		}
		mustBe(t, f.Rename(at("d/c"), at("e/c")), fs.ErrNotExist)
	}},
	{"rename moves whole directories", func(t *testing.T, f vfs.FS, at func(string) string) {
		must(t, f.Mkdir(at("d")))
		must(t, f.Mkdir(at("e")))
		put(t, f, at("d/a"), "x")
		put(t, f, at("file"), "")
		mustBe(t, f.Rename(at("d"), at("d/sub")), syscall.EINVAL)
		mustBe(t, f.Rename(at("d"), at("file")), syscall.ENOTDIR)
		mustBe(t, f.Rename(at("d"), at("e")), fs.ErrExist)
		mustBe(t, f.Rename(at("file"), at("e")), fs.ErrExist)
		must(t, f.Rename(at("d"), at("g")))
		wantContent(t, f, at("g/a"), "x")
		must(t, f.Rename(at("g"), at("e/h")))
		wantContent(t, f, at("e/h/a"), "x")
	}},
	{"a lock is held once", func(t *testing.T, f vfs.FS, at func(string) string) {
		lock, err := f.Lock(at("LOCK"))
		must(t, err)
		_, err = f.Lock(at("LOCK"))
		mustBe(t, err, vfs.ErrLocked)
		other, err := f.Lock(at("LOCK2"))
		must(t, err)
		must(t, other.Close())
		must(t, open(t, f, at("LOCK"), os.O_RDWR).Close())
		_, err = f.Lock(at("LOCK"))
		mustBe(t, err, vfs.ErrLocked)
		must(t, lock.Close())
		lock, err = f.Lock(at("LOCK"))
		must(t, err)
		must(t, lock.Close())
		mustBe(t, lock.Close(), fs.ErrClosed)
	}},
	{"there is space", func(t *testing.T, f vfs.FS, at func(string) string) {
		free, err := f.Free(at("."))
		must(t, err)
		if free <= 0 {
			t.Fatalf("%d bytes free", free)
		}
		_, err = f.Free(at("x"))
		mustBe(t, err, fs.ErrNotExist)
	}},
	{"many goroutines share a file", func(t *testing.T, f vfs.FS, at func(string) string) {
		const writers, bytesEach = 8, 3_000
		file := create(t, f, at("a"))
		defer file.Close()
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				want := bytes.Repeat([]byte{byte('a' + w)}, bytesEach)
				got := make([]byte, bytesEach)
				_, err := file.WriteAt(want, int64(w*bytesEach))
				err = errors.Join(err, file.Datasync(), f.SyncDir(at(".")))
				_, readErr := file.ReadAt(got, int64(w*bytesEach))
				if err = errors.Join(err, readErr); err != nil || !bytes.Equal(got, want) {
					t.Errorf("writer %d: %v", w, err)
				}
			})
		}
		all.Wait()
		if size, err := file.Size(); size != writers*bytesEach || err != nil {
			t.Fatalf("size %d, %v", size, err)
		}
	}},
}

func TestConformance(t *testing.T) {
	pass := func(vfs.Op) error { return nil }
	for _, system := range []struct {
		name string
		make func(t *testing.T) (f vfs.FS, root string)
	}{
		{"os", func(t *testing.T) (vfs.FS, string) { return vfs.OS, t.TempDir() }},
		{"mem", func(t *testing.T) (vfs.FS, string) { return vfs.NewMem(), "." }},
		{"hooked os", func(t *testing.T) (vfs.FS, string) { return vfs.WithHook(vfs.OS, pass), t.TempDir() }},
		{"hooked mem", func(t *testing.T) (vfs.FS, string) { return vfs.WithHook(vfs.NewMem(), pass), "/" }},
	} {
		for _, c := range conformance {
			t.Run(system.name+"/"+c.name, func(t *testing.T) {
				f, root := system.make(t)
				c.test(t, f, func(name string) string { return path.Join(root, name) })
			})
		}
	}
}
