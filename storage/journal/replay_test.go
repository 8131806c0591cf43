package journal

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// laid is a block put into a file by hand. Its record tells generation and lsn.
type laid struct {
	file       uint64
	page       int64
	generation uint64
	lsn        LSN
	durable    LSN
	rot        rot
}

// rot is what happened to a block since.
type rot int

const (
	sound      rot = iota
	badRecords     // a byte of them flipped
	badHeader      // likewise
	named3         // no rot: the block names file 3
)

// lay writes blocks into the files of an empty journal, of which a third is not listed.
func lay(t *testing.T, blocks []laid) (Config, State) {
	t.Helper()
	cfg := small(vfs.NewMem()).withDefaults()
	cfg.Generation = 100
	if err := cfg.FS.Mkdir(cfg.Dir); err != nil {
		t.Fatal(err)
	}
	if err := cfg.makeFiles([]uint64{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks {
		rec := Record{Kind: KindHard, Index: batch.Index(b.lsn), Number: b.generation}
		if b.rot == named3 {
			rec = Record{Kind: KindFile, Number: 3}
		}
		block := appendRecord(make([]byte, headerBytes), &rec)
		pos := b.page * pageBytes
		block = newSeed(cfg.DirectoryID, b.file).seal(block, pos, header{generation: b.generation, lsn: b.lsn, durable: b.durable})
		switch b.rot {
		case badRecords:
			block[headerBytes] ^= 0x10
		case badHeader:
			block[30] ^= 0x10
		}
		write(t, cfg, b.file, pos, block)
	}
	return cfg, State{Files: []uint64{1, 2}}
}

func write(t *testing.T, cfg Config, file uint64, pos int64, b []byte) {
	t.Helper()
	f, err := cfg.FS.OpenFile(cfg.name(file), os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, pos); err != nil {
		t.Fatal(err)
	}
}

// told replays and writes down what came: "lsn/generation" for each record.
func told(cfg Config, s State) (string, error) {
	var b strings.Builder
	_, _, err := Replay(cfg, s, func(lsn LSN, r Record) error {
		if LSN(r.Index) != lsn {
			return fmt.Errorf("record of block %d came with lsn %d", r.Index, lsn)
		}
		fmt.Fprintf(&b, " %d/%d", lsn, r.Number)
		return nil
	})
	return strings.TrimPrefix(b.String(), " "), err
}

func TestReplayOfBlocksLaidByHand(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   LSN // of the checkpoint
		above   uint64
		blocks  []laid
		want    string
		damaged LSN
	}{
		{name: "nothing"},
		{name: "blocks of one start, over two files in any order", blocks: []laid{
			{2, 0, 1, 3, 2, sound}, {2, 1, 1, 4, 3, sound}, {1, 0, 1, 1, 0, sound}, {1, 2, 1, 2, 1, sound},
		}, want: "1/1 2/1 3/1 4/1"},
		{name: "only what is after the checkpoint", after: 2, blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 1, 1, 2, 1, sound}, {1, 2, 1, 3, 2, sound},
		}, want: "3/1"},
		{name: "blocks that nothing leads to are left", after: 2, blocks: []laid{
			{1, 0, 1, 2, 1, sound}, {1, 1, 1, 4, 2, sound},
		}},
		{name: "a bad last block is the end", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 1, 1, 2, 1, badRecords},
		}, want: "1/1"},
		{name: "a bad last header is the end", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 1, 1, 2, 1, badHeader},
		}, want: "1/1"},
		{name: "a bad block before blocks that do not vouch for it is the end", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 1, 1, 2, 1, badRecords}, {1, 2, 1, 3, 1, sound}, {1, 3, 1, 4, 1, sound},
		}, want: "1/1"},
		{name: "a bad block that the next one vouches for is damage", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 1, 1, 2, 1, badRecords}, {1, 2, 1, 3, 2, sound},
		}, want: "1/1", damaged: 2},
		{name: "a bad header that a block in another file vouches for is damage", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 1, 1, 2, 1, badHeader}, {2, 0, 1, 3, 1, sound}, {2, 1, 1, 4, 2, sound},
		}, want: "1/1", damaged: 2},
		{name: "the header of a bad block vouches, too", blocks: []laid{
			{1, 0, 1, 1, 0, badRecords}, {1, 1, 1, 2, 1, badRecords},
		}, damaged: 1},
		{name: "damage up to the checkpoint harms nobody", after: 2, blocks: []laid{
			{1, 0, 1, 1, 0, badRecords}, {1, 1, 1, 2, 1, badRecords}, {1, 2, 1, 3, 2, sound},
		}, want: "3/1"},
		{name: "the higher generation wins", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 1, 1, 2, 1, sound}, {2, 0, 2, 2, 1, sound},
		}, want: "1/1 2/2"},
		{name: "and is not left again for a lower one", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 2, 1, 3, 1, sound}, {2, 0, 2, 2, 1, sound},
		}, want: "1/1 2/2"},
		{name: "not even if a void block vouches", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 2, 1, 4, 3, sound}, {2, 0, 2, 2, 1, sound},
		}, want: "1/1 2/2"},
		{name: "a checkpoint remembers the generation", after: 2, above: 2, blocks: []laid{
			{1, 2, 1, 3, 1, sound},
		}},
		{name: "and so does the block of its lsn", after: 2, blocks: []laid{
			{1, 2, 1, 3, 1, sound}, {2, 0, 2, 2, 1, sound},
		}},
		{name: "a start that begins behind a block that is gone is damage", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {2, 0, 2, 3, 2, sound},
		}, want: "1/1", damaged: 2},
		{name: "a file named on the way", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 1, 1, 2, 1, named3}, {1, 2, 1, 3, 2, sound}, {3, 0, 1, 4, 3, sound},
		}, want: "1/1 3/1 4/1"},
		{name: "a file that no block names is not read", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {3, 0, 1, 2, 1, sound},
		}, want: "1/1"},
		{name: "a bad block that names a file is damage", blocks: []laid{
			{1, 0, 1, 1, 0, sound}, {1, 1, 1, 2, 1, badRecords}, {1, 2, 1, 3, 2, sound}, {3, 0, 1, 4, 3, sound},
		}, want: "1/1", damaged: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, s := lay(t, c.blocks)
			s.LSN, s.Generation = c.after, c.above
			got, err := told(cfg, s)
			if got != c.want {
				t.Errorf("replayed %q, want %q", got, c.want)
			}
			var damage *DamageError
			switch {
			case c.damaged == 0 && err != nil:
				t.Error(err)
			case c.damaged != 0 && (!errors.As(err, &damage) || damage.LSN != c.damaged):
				t.Errorf("got %v, want damage to block %d", err, c.damaged)
			}
		})
	}
}

// TestABlockCountsOnlyWhereItWasWritten copies one to other positions, files and journals,
// as it could stand in a user's record.
func TestABlockCountsOnlyWhereItWasWritten(t *testing.T) {
	for _, c := range []struct {
		name      string
		directory byte
		file      uint64
		pos       int64
		want      string
	}{
		{"its place", 1, 1, pageBytes, "1/1 2/1"},
		{"another page", 1, 1, 2 * pageBytes, "1/1"},
		{"another file", 1, 2, pageBytes, "1/1"},
		{"another directory", 9, 1, pageBytes, "1/1"},
	} {
		cfg, s := lay(t, []laid{{1, 0, 1, 1, 0, sound}})
		other := cfg
		other.DirectoryID[0] = c.directory
		block := appendRecord(make([]byte, headerBytes), &Record{Kind: KindHard, Index: 2, Number: 1})
		block = newSeed(other.DirectoryID, 1).seal(block, pageBytes, header{generation: 1, lsn: 2, durable: 1})
		write(t, cfg, c.file, c.pos, block)
		if got, err := told(cfg, s); got != c.want || err != nil {
			t.Errorf("%s: replayed %q, %v", c.name, got, err)
		}
	}
}

func TestFilesThatAreNotAsListed(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(cfg Config) error
	}{
		{"missing", func(cfg Config) error { return cfg.FS.Remove(cfg.name(2)) }},
		{"short", func(cfg Config) error { return resize(cfg, cfg.FileBytes-1) }},
		{"empty", func(cfg Config) error { return resize(cfg, 0) }},
		{"long", func(cfg Config) error { return resize(cfg, cfg.FileBytes+pageBytes) }},
	} {
		cfg, s := lay(t, []laid{{1, 0, 1, 1, 0, sound}})
		if err := c.harm(cfg); err != nil {
			t.Fatal(err)
		}
		_, err := told(cfg, s)
		var damage *DamageError
		if !errors.As(err, &damage) || damage.File != cfg.name(2) {
			t.Errorf("%s: got %v", c.name, err)
		}
		if _, err := Start(cfg, s, 1, nil); !errors.As(err, &damage) {
			t.Errorf("%s: start got %v", c.name, err)
		}
	}
}

func resize(cfg Config, size int64) error {
	f, err := cfg.FS.OpenFile(cfg.name(2), os.O_RDWR)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

func TestReplayRefusesRecordsOfTheFuture(t *testing.T) {
	cfg, s := lay(t, []laid{{1, 0, 1, 1, 0, sound}})
	block := newSeed(cfg.DirectoryID, 1).seal(append(make([]byte, headerBytes), byte(KindFile)+1, 0), pageBytes, header{generation: 1, lsn: 2, durable: 1})
	write(t, cfg, 1, pageBytes, block)
	if _, err := told(cfg, s); !errors.Is(err, ErrUnknownRecord) {
		t.Errorf("got %v", err)
	}
}

func TestReplayEndsWithTheErrorOfApply(t *testing.T) {
	cfg, s := lay(t, []laid{{1, 0, 1, 1, 0, sound}, {1, 1, 1, 2, 1, sound}})
	stop, calls := errors.New("enough"), 0
	_, _, err := Replay(cfg, s, func(LSN, Record) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}

func TestStartRefusesACounterThatWentBack(t *testing.T) {
	for _, listed := range []bool{false, true} {
		cfg, s := lay(t, []laid{{1, 0, 5, 1, 0, sound}})
		last, next, err := Replay(cfg, s, func(LSN, Record) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		if listed {
			next = State{LSN: last, Files: next.Files}
		}
		cfg.Generation = 5
		if _, err := Start(cfg, next, last, nil); err == nil || !strings.Contains(err.Error(), "start 5 has written") {
			t.Errorf("got %v", err)
		}
	}
}

// TestLengthsThatLie replays headers that are valid and claim too much.
func TestLengthsThatLie(t *testing.T) {
	for _, length := range []uint32{0, headerBytes - 1, headerBytes + 9, 8 * pageBytes, 48 << 10, 1<<31 - 1, 1<<32 - 1} {
		cfg, s := lay(t, []laid{{1, 0, 1, 1, 0, sound}})
		write(t, cfg, 1, pageBytes, forge(cfg, pageBytes, header{length: length, generation: 1, lsn: 2, durable: 1}, []byte("records")))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := told(cfg, s)
		runtime.ReadMemStats(&after)
		if got != "1/1" || err != nil {
			t.Errorf("length %d: replayed %q, %v", length, got, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
			t.Errorf("length %d: %d bytes allocated", length, n)
		}
	}
}

// forge makes a block whose header is valid, whatever it says.
func forge(cfg Config, pos int64, h header, records []byte) []byte {
	s := newSeed(cfg.DirectoryID, 1)
	b := s.seal(append(make([]byte, headerBytes), records...), pos, h)
	le.PutUint32(b[4:], h.length)
	le.PutUint32(b[36:], s.sum(pos, b[:36]))
	return b
}

// FuzzReplay replays a file of which a part is arbitrary, and a block whose header is
// valid but lies.
func FuzzReplay(f *testing.F) {
	redo := appendRecord(nil, &Record{Kind: KindRedo, Pos: 9, Data: []byte("data")})
	f.Add([]byte("plain bytes"), redo, uint32(headerBytes+len(redo)), uint64(1), uint64(2), uint64(1))
	f.Add(make([]byte, 9000), redo, uint32(1<<32-1), uint64(2), uint64(2), uint64(0))
	f.Add([]byte{}, []byte{byte(KindFile), 0x80, 0x20, 3}, uint32(headerBytes+4), uint64(1), uint64(2), uint64(2))
	f.Add([]byte{}, []byte{byte(KindFile), 0x80, 0x20, 9}, uint32(headerBytes+4), uint64(1), uint64(2), uint64(1<<63))
	cfg := small(nil).withDefaults()
	real := newSeed(cfg.DirectoryID, 1).seal(append(make([]byte, headerBytes), redo...), 2*pageBytes, header{generation: 1, lsn: 3, durable: 2})
	f.Add(real, redo, uint32(headerBytes+len(redo)), uint64(1), uint64(2), uint64(1))
	f.Fuzz(func(t *testing.T, rest, records []byte, length uint32, generation, lsn, durable uint64) {
		if len(records) > pageBytes-headerBytes || len(rest) > 32<<10 {
			return
		}
		cfg, s := lay(t, []laid{{1, 0, 1, 1, 0, sound}})
		h := header{length: length, generation: generation, lsn: LSN(lsn), durable: LSN(durable)}
		write(t, cfg, 1, pageBytes, forge(cfg, pageBytes, h, records))
		write(t, cfg, 1, 2*pageBytes, rest)
		var lsns []LSN
		last, next, err := Replay(cfg, s, func(lsn LSN, _ Record) error {
			lsns = append(lsns, lsn)
			return nil
		})
		if !slices.IsSorted(lsns) || (err == nil && (last < 1 || len(next.Files) < 2)) {
			t.Fatalf("replayed %v up to %d in files %v, %v", lsns, last, next.Files, err)
		}
	})
}
