package vfs_test

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

func TestCrashKeepsThePageCacheAndKillsHandles(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(m *vfs.Mem) *vfs.Mem
	}{
		{"crash", (*vfs.Mem).Crash},
		{"power loss", func(m *vfs.Mem) *vfs.Mem { return m.PowerLoss(rand.New(rand.NewPCG(1, 1))) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := vfs.NewMem()
			file := durable(t, m, "a", []byte("synced"))
			lock, err := m.Lock("LOCK")
			must(t, err)
			after := c.end(m)

			_, err = file.ReadAt(make([]byte, 1), 0)
			mustBe(t, err, vfs.ErrCrashed)
			_, err = file.WriteAt(make([]byte, 1), 0)
			mustBe(t, err, vfs.ErrCrashed)
			_, err = file.Size()
			mustBe(t, err, vfs.ErrCrashed)
			_, openErr := m.OpenFile("b", os.O_RDWR|os.O_CREATE)
			_, listErr := m.ReadDir(".")
			_, statErr := m.Stat("a")
			_, lockErr := m.Lock("LOCK")
			_, freeErr := m.Free(".")
			for _, err := range []error{
				openErr, listErr, statErr, lockErr, freeErr, lock.Close(),
				file.Sync(), file.Datasync(), file.Truncate(0), file.WriteBack(0, 1), file.Close(),
				m.Mkdir("d"), m.Remove("a"), m.Rename("a", "b"), m.SyncDir("."),
			} {
				mustBe(t, err, vfs.ErrCrashed)
			}

			wantContent(t, after, "a", "synced")
			lock, err = after.Lock("LOCK")
			must(t, err)
			must(t, lock.Close())
		})
	}
}

func TestCrashLosesNothing(t *testing.T) {
	m := vfs.NewMem()
	must(t, m.Mkdir("d"))
	put(t, m, "d/a", "unsynced")
	put(t, m, "d/b", "gone")
	must(t, m.Rename("d/a", "c"))
	must(t, m.Remove("d/b"))
	after := m.Crash().Crash()
	wantContent(t, after, "c", "unsynced")
	if exists(t, after, "d/a") || exists(t, after, "d/b") {
		t.Fatal("an old name is back")
	}
	// It is still unsynced: some power loss takes it.
	names := seen{}
	losses(t, after, func(lost *vfs.Mem) {
		if exists(t, lost, "c") {
			names["c"]++
		} else {
			names["none"]++
		}
	})
	names.want(t, "c", "none")
}

func TestClonesAreApart(t *testing.T) {
	m := vfs.NewMem()
	file := durable(t, m, "a", []byte("first "))
	write(t, file, 0, []byte("second"))
	dup := m.Clone()
	write(t, file, 0, []byte("third "))
	must(t, file.Datasync())
	put(t, m, "b", "")
	wantContent(t, dup, "a", "second")

	other := open(t, dup, "a", os.O_RDWR)
	write(t, other, 0, []byte("fourth"))
	must(t, dup.Remove("a"))
	wantContent(t, m, "a", "third ")
	if exists(t, dup, "b") {
		t.Fatal("the clone sees a later file")
	}
	losses(t, m, func(after *vfs.Mem) { wantContent(t, after, "a", "third ") })
}

func TestLimitStopsWritesShort(t *testing.T) {
	const page = 4096
	m := vfs.NewMem()
	m.Limit(10 * page)
	free := func(want int64) {
		t.Helper()
		got, err := m.Free(".")
		must(t, err)
		if got != want*page {
			t.Fatalf("%d pages free, want %d", got/page, want)
		}
	}
	file := create(t, m, "a")
	must(t, file.Truncate(100*page))
	free(10) // a hole takes nothing
	write(t, file, 0, make([]byte, 4*page))
	free(6) // zeros do
	n, err := file.WriteAt(bytes.Repeat([]byte("x"), 20*page), 2*page)
	mustBe(t, err, syscall.ENOSPC)
	if n != 8*page {
		t.Fatalf("wrote %d bytes, want %d", n, 8*page)
	}
	free(0)
	write(t, file, page, bytes.Repeat([]byte("y"), 9*page)) // what is there can be overwritten
	if size, err := file.Size(); size != 100*page || err != nil {
		t.Fatalf("size %d, %v", size, err)
	}
	put(t, m, "b", "")
	_, err = open(t, m, "b", os.O_RDWR).WriteAt([]byte("x"), 0)
	mustBe(t, err, syscall.ENOSPC)

	must(t, file.Truncate(7*page))
	free(3)
	must(t, m.Remove("a"))
	free(3)
	must(t, file.Close())
	free(10) // with its last handle a removed file frees its space
	put(t, m, "c", "x")
	put(t, m, "d", "x")
	must(t, m.Rename("c", "d"))
	free(9)
	must(t, open(t, m, "d", os.O_RDWR|os.O_TRUNC).Close())
	free(10)
	put(t, m, "e", "x")
	m = m.Crash()
	free(9)
	must(t, m.Remove("e"))
	free(10)

	file = durable(t, m, "f", bytes.Repeat([]byte("x"), 5*page))
	must(t, file.Truncate(2*page))
	must(t, m.Mkdir("unsynced"))
	put(t, m, "unsynced/g", "x")
	free(7)
	for seed := range uint64(20) {
		after := m.Clone().PowerLoss(rand.New(rand.NewPCG(seed, 0)))
		want := int64(10)
		for _, name := range []string{"f", "unsynced/g"} {
			if info, err := after.Stat(name); err == nil {
				want -= (info.Size() + page - 1) / page
			}
		}
		if got, err := after.Free("."); got != want*page || err != nil {
			t.Fatalf("%d pages free after a power loss, want %d, %v", got/page, want, err)
		}
	}
}

func TestCounts(t *testing.T) {
	m := vfs.NewMem()
	file := create(t, m, "a")
	write(t, file, 0, []byte("hello"))
	write(t, file, 5, []byte("world"))
	must(t, file.WriteBack(0, 10))
	must(t, file.Datasync())
	must(t, file.Sync())
	must(t, m.SyncDir("."))
	contentOf(t, file)
	must(t, m.Rename("a", "b"))
	must(t, m.Remove("b"))
	mustBe(t, m.Remove("b"), fs.ErrNotExist)
	want := vfs.Counts{
		Reads: 1, ReadBytes: 10, Writes: 2, WrittenBytes: 10, Syncs: 1, Datasyncs: 1,
		DirSyncs: 1, WriteBacks: 1, Creates: 1, Renames: 1, Removals: 1,
	}
	if got := m.Counts(); got != want {
		t.Errorf("counts are %+v, want %+v", got, want)
	}
	if got := m.Crash().Counts(); got != (vfs.Counts{}) {
		t.Errorf("after a crash counts are %+v", got)
	}
}

// TestClonesShareSafely is for the race detector: writers on a Mem and on its clones,
// while more are made.
func TestClonesShareSafely(t *testing.T) {
	m := vfs.NewMem()
	file := durable(t, m, "a", bytes.Repeat([]byte("o"), 100_000))
	var all sync.WaitGroup
	for w := range 3 {
		rng := rand.New(rand.NewPCG(uint64(w), 0))
		all.Go(func() {
			for range 100 {
				if _, err := file.WriteAt([]byte("new"), rng.Int64N(100_000-3)); err != nil {
					t.Error(err)
				}
				dup := m.Clone()
				f, err := dup.OpenFile("a", os.O_RDWR)
				if err != nil {
					t.Error(err)
					return
				}
				_, err = f.WriteAt([]byte("dup"), rng.Int64N(100_000-3))
				if err != nil || f.Datasync() != nil || file.Datasync() != nil {
					t.Errorf("write or sync failed: %v", err)
				}
				dup.PowerLoss(rng)
			}
		})
	}
	all.Wait()
	if bytes.ContainsAny(contentOf(t, file), "dup") {
		t.Error("a write to a clone reached the original")
	}
}
