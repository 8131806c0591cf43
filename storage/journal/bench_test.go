package journal

import (
	"fmt"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

// onDisk is a journal of ordinary size on the system's file system.
func onDisk(t testing.TB) *Journal {
	cfg := Config{FS: vfs.OS, Dir: t.TempDir() + "/journal", Generation: 1, FileBytes: 16 << 20, MinFiles: 4}
	return open(t, cfg)
}

// maxAllocs is what an append may allocate on its way through the journal.
const maxAllocs = 0

func TestASteadyAppendDoesNotAllocate(t *testing.T) {
	j := onDisk(t)
	defer closeJournal(t, j)
	answers := 0
	done := func(LSN, error) { answers++ }
	records := []Record{
		{Kind: KindRedo, Log: 3, Segment: 1, Pos: 1 << 20, Parts: [][]byte{make([]byte, 8<<10), make([]byte, 8<<10)}},
		{Kind: KindHard, Log: 3, Term: 7, Vote: 1, Commit: 1 << 30, Lead: 1},
	}
	got := testing.AllocsPerRun(50, func() {
		for range 4 {
			j.Submit(records, done)
		}
		if _, err := j.Flush(); err != nil {
			t.Fatal(err)
		}
	})
	if got > maxAllocs || answers != 4*51 {
		t.Errorf("%v allocations, want at most %d; %d answers", got, maxAllocs, answers)
	}
}

// BenchmarkFlush is the journal alone on the disk of the temporary directory: groups of
// appends of 128 KiB, each group one sync.
//
//	go test -run '^$' -bench Flush ./storage/journal
func BenchmarkFlush(b *testing.B) {
	for _, group := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("appends=%d", group), func(b *testing.B) {
			j := onDisk(b)
			records := redo(1, 128<<10)
			b.SetBytes(int64(group * len(records[0].Data)))
			b.ReportAllocs()
			for b.Loop() {
				for range group {
					j.Submit(records, nil)
				}
				if _, err := j.Flush(); err != nil {
					b.Fatal(err)
				}
				j.Checkpointed(j.Durable())
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "syncs/s")
			closeJournal(b, j)
		})
	}
}

// BenchmarkReplay reads a journal of 64 MiB back.
func BenchmarkReplay(b *testing.B) {
	j := onDisk(b)
	records := redo(1, 128<<10)
	for j.Written() < 48<<20 {
		for range 8 {
			j.Submit(records, nil)
		}
		if _, err := j.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	s := j.State(0)
	closeJournal(b, j)
	b.SetBytes(64 << 20)
	for b.Loop() {
		if _, _, err := Replay(j.cfg, s, func(LSN, Record) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
