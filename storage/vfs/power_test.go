package vfs_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

const sector = 512

// losses calls check with many power losses of copies of m.
func losses(t *testing.T, m *vfs.Mem, check func(after *vfs.Mem)) {
	t.Helper()
	for seed := range uint64(400) {
		check(m.Clone().PowerLoss(rand.New(rand.NewPCG(seed, 0))))
		if t.Failed() {
			t.Fatalf("at seed %d", seed)
		}
	}
}

// seen counts outcomes, all of which must come up and no other.
type seen map[string]int

func (s seen) want(t *testing.T, outcomes ...string) {
	t.Helper()
	for _, o := range outcomes {
		if s[o] == 0 {
			t.Errorf("never seen: %q", o)
		}
	}
	if len(s) != len(outcomes) {
		t.Errorf("seen %v, want only %q", s, outcomes)
	}
}

// durable creates a file that is synced with its name.
func durable(t *testing.T, m *vfs.Mem, name string, content []byte) vfs.File {
	t.Helper()
	file := create(t, m, name)
	write(t, file, 0, content)
	must(t, file.Datasync())
	must(t, m.SyncDir("."))
	return file
}

// runs is data with runs shortened: "aab" is "ab".
func runs(data []byte) string {
	var b strings.Builder
	for i, c := range data {
		if i == 0 || data[i-1] != c {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func TestPowerLossKeepsWhatWasSynced(t *testing.T) {
	m := vfs.NewMem()
	content := []byte(strings.Repeat("0123456789", 2_000))
	must(t, m.Mkdir("d"))
	must(t, m.SyncDir("."))
	file := create(t, m, "d/a")
	write(t, file, 0, content)
	must(t, file.Sync())
	must(t, m.SyncDir("d"))
	write(t, file, 5_000, []byte("unsynced"))
	write(t, file, int64(len(content)), []byte("unsynced"))
	put(t, m, "d/b", "unsynced")
	losses(t, m, func(after *vfs.Mem) {
		got := get(t, after, "d/a")
		copy(content[5_000:], got[5_000:5_008])
		if !bytes.HasPrefix(got, content) {
			t.Error("synced bytes lost")
		}
	})
}

func TestPowerLossKeepsDropsAndTearsEachSector(t *testing.T) {
	m := vfs.NewMem()
	file := durable(t, m, "a", bytes.Repeat([]byte("o"), 20*sector))
	write(t, file, 2*sector, bytes.Repeat([]byte("n"), 16*sector))
	single, whole := seen{}, seen{}
	losses(t, m, func(after *vfs.Mem) {
		got := get(t, after, "a")
		if runs(got[:2*sector])+runs(got[18*sector:]) != "oo" {
			t.Error("sectors not written changed")
		}
		for s := 2; s < 18; s++ {
			single[runs(got[s*sector:(s+1)*sector])]++
		}
		switch runs(got[2*sector : 18*sector]) {
		case "o":
			whole["all old"]++
		case "n":
			whole["all new"]++
		default:
			whole["mixed"]++
		}
	})
	single.want(t, "o", "n", "no", "on")
	whole.want(t, "all old", "all new", "mixed")
}

func TestPowerLossTearsOnlyBytesThatDiffer(t *testing.T) {
	m := vfs.NewMem()
	file := durable(t, m, "a", []byte("synced"))
	write(t, file, 0, []byte("synced and more"))
	lengths := seen{}
	losses(t, m, func(after *vfs.Mem) {
		got := get(t, after, "a")
		if !bytes.HasPrefix(got, []byte("synced")) {
			t.Errorf("holds %q", got)
		}
		lengths[fmt.Sprint(len(got))]++
	})
	lengths.want(t, "6", "15")
}

func TestPowerLossKeepsDropsAndPartsGrowth(t *testing.T) {
	m := vfs.NewMem()
	file := durable(t, m, "a", bytes.Repeat([]byte("o"), 2*sector))
	write(t, file, 2*sector, bytes.Repeat([]byte("n"), 3*sector))
	lengths, added := seen{}, seen{}
	losses(t, m, func(after *vfs.Mem) {
		got := get(t, after, "a")
		if runs(got[:2*sector]) != "o" {
			t.Error("synced bytes lost")
		}
		lengths[fmt.Sprint(len(got)/sector)]++
		for rest := got[2*sector:]; len(rest) > 0; rest = rest[sector:] {
			added[runs(rest[:sector])]++
		}
	})
	lengths.want(t, "2", "3", "4", "5")
	added.want(t, "n", "\x00", "n\x00", "\x00n")
}

func TestPowerLossKeepsOrDropsTruncation(t *testing.T) {
	for _, c := range []struct {
		name  string
		then  func(file vfs.File)
		wants []string
	}{
		{"nothing", func(vfs.File) {}, []string{"10: 10 old, o", "3: 3 old, o"}},
		{"growth, which is zero even if old bytes were there", func(file vfs.File) {
			must(t, file.Truncate(12*sector))
		}, []string{"10: 10 old, o", "12: 3 old, o\x00"}},
		{"a write past a gap", func(file vfs.File) {
			write(t, file, 11*sector, bytes.Repeat([]byte("n"), sector))
		}, []string{
			"10: 10 old, o", "12: 3 old, o\x00", "12: 3 old, o\x00n", "12: 3 old, o\x00n\x00",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := vfs.NewMem()
			file := durable(t, m, "a", bytes.Repeat([]byte("o"), 10*sector))
			must(t, file.Truncate(3*sector))
			c.then(file)
			outcomes := seen{}
			losses(t, m, func(after *vfs.Mem) {
				got := get(t, after, "a")
				old := bytes.Count(got, []byte("o"))
				outcomes[fmt.Sprintf("%d: %d old, %s", len(got)/sector, old/sector, runs(got))]++
			})
			outcomes.want(t, c.wants...)
		})
	}
}

func TestSyncedTruncationStays(t *testing.T) {
	m := vfs.NewMem()
	file := durable(t, m, "a", bytes.Repeat([]byte("o"), 10*sector))
	must(t, file.Truncate(100))
	must(t, file.Datasync())
	must(t, file.Truncate(10*sector))
	must(t, file.Datasync())
	losses(t, m, func(after *vfs.Mem) {
		if got := get(t, after, "a"); len(got) != 10*sector || runs(got) != "o\x00" || got[100] != 0 {
			t.Errorf("holds %d bytes: %q", len(got), runs(got))
		}
	})
}

func TestPowerLossMayLeaveWhatWasWrittenBack(t *testing.T) {
	m := vfs.NewMem()
	file := durable(t, m, "a", bytes.Repeat([]byte("o"), sector))
	write(t, file, 0, bytes.Repeat([]byte("b"), sector))
	must(t, file.WriteBack(0, sector))
	write(t, file, 0, bytes.Repeat([]byte("n"), sector))
	outcomes := seen{}
	losses(t, m, func(after *vfs.Mem) { outcomes[runs(get(t, after, "a"))]++ })
	outcomes.want(t, "o", "b", "n", "on", "no", "bn", "nb")
}

func TestPowerLossWithoutUnsyncedChangesNothing(t *testing.T) {
	m := vfs.NewMem()
	must(t, durable(t, m, "a", []byte("content")).Close())
	again := m.PowerLoss(rand.New(rand.NewPCG(1, 2)))
	write(t, open(t, again, "a", os.O_RDWR), 0, []byte("CONTENT"))
	losses(t, again.Clone(), func(after *vfs.Mem) {
		if got := get(t, after, "a"); !strings.EqualFold(string(got), "content") {
			t.Errorf("holds %q", got)
		}
	})
}

// TestPowerLossOfEntries does steps on files that are themselves synced, in a durable
// directory d with the durable entries a and b, and compares which listings come up.
func TestPowerLossOfEntries(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps func(m *vfs.Mem)
		wants []string
	}{
		{"a created name comes or not, although its file is synced", func(m *vfs.Mem) {
			file := create(t, m, "d/c")
			write(t, file, 0, []byte("C"))
			must(t, file.Sync())
		}, []string{"a=A b=B", "a=A b=B c=C"}},
		{"a synced name stays", func(m *vfs.Mem) {
			file := create(t, m, "d/c")
			write(t, file, 0, []byte("C"))
			must(t, file.Sync())
			must(t, m.SyncDir("d"))
		}, []string{"a=A b=B c=C"}},
		{"syncing the parent is not enough", func(m *vfs.Mem) {
			file := create(t, m, "d/c")
			write(t, file, 0, []byte("C"))
			must(t, file.Sync())
			must(t, m.SyncDir("."))
		}, []string{"a=A b=B", "a=A b=B c=C"}},
		{"a removed name goes or not", func(m *vfs.Mem) {
			must(t, m.Remove("d/a"))
		}, []string{"a=A b=B", "b=B"}},
		{"a rename is old or new, never both or none", func(m *vfs.Mem) {
			must(t, m.Rename("d/a", "d/c"))
		}, []string{"a=A b=B", "b=B c=A"}},
		{"a replacing rename is old or new", func(m *vfs.Mem) {
			must(t, m.Rename("d/a", "d/b"))
		}, []string{"a=A b=B", "b=A"}},
		{"a rename twice", func(m *vfs.Mem) {
			must(t, m.Rename("d/a", "d/c"))
			must(t, m.Rename("d/c", "d/e"))
		}, []string{"a=A b=B", "b=B c=A", "b=B e=A"}},
		{"a rotation never loses what was rotated away", func(m *vfs.Mem) {
			must(t, m.Rename("d/a", "d/c"))
			must(t, m.Rename("d/b", "d/a"))
		}, []string{"a=A b=B", "b=B c=A", "a=B c=A"}},
		{"independent operations in any subset", func(m *vfs.Mem) {
			must(t, m.Remove("d/a"))
			must(t, m.Rename("d/b", "d/c"))
		}, []string{"a=A b=B", "b=B", "a=A c=B", "c=B"}},
		{"a name removed and created anew", func(m *vfs.Mem) {
			must(t, m.Remove("d/a"))
			file := create(t, m, "d/a")
			write(t, file, 0, []byte("N"))
			must(t, file.Sync())
		}, []string{"a=A b=B", "b=B", "a=N b=B"}},
		{"tmp, sync, rename, sync of the directory", func(m *vfs.Mem) {
			file := create(t, m, "d/tmp")
			write(t, file, 0, []byte("N"))
			must(t, file.Sync())
			must(t, m.Rename("d/tmp", "d/a"))
			must(t, m.SyncDir("d"))
		}, []string{"a=N b=B"}},
		{"a move between directories is durable with the directory it goes to", func(m *vfs.Mem) {
			must(t, m.Mkdir("e"))
			file := create(t, m, "e/tmp")
			write(t, file, 0, []byte("N"))
			must(t, file.Sync())
			must(t, m.Rename("e/tmp", "d/a"))
			must(t, m.SyncDir("d"))
		}, []string{"a=N b=B"}},
		{"a new directory is lost with what is durable in it", func(m *vfs.Mem) {
			must(t, m.Mkdir("d/s"))
			file := create(t, m, "d/s/x")
			write(t, file, 0, []byte("X"))
			must(t, file.Sync())
			must(t, m.SyncDir("d/s"))
		}, []string{"a=A b=B", "a=A b=B s/ s/x=X"}},
		{"a directory made durable with its files", func(m *vfs.Mem) {
			must(t, m.Mkdir("d/s"))
			file := create(t, m, "d/s/x")
			write(t, file, 0, []byte("X"))
			must(t, file.Sync())
			must(t, m.SyncDir("d/s"))
			must(t, m.SyncDir("d"))
		}, []string{"a=A b=B s/ s/x=X"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := vfs.NewMem()
			must(t, m.Mkdir("d"))
			must(t, m.SyncDir("."))
			for name, content := range map[string]string{"d/a": "A", "d/b": "B"} {
				file := create(t, m, name)
				write(t, file, 0, []byte(content))
				must(t, file.Sync())
			}
			must(t, m.SyncDir("d"))
			c.steps(m)
			outcomes := seen{}
			losses(t, m, func(after *vfs.Mem) {
				outcomes[strings.Join(listing(t, after, "d", ""), " ")]++
			})
			outcomes.want(t, c.wants...)
		})
	}
}

// listing shows what is below a directory: "dir/" and "file=content".
func listing(t *testing.T, f vfs.FS, dir, prefix string) (lines []string) {
	t.Helper()
	names, err := f.ReadDir(dir)
	must(t, err)
	for _, name := range names {
		info, err := f.Stat(dir + "/" + name)
		must(t, err)
		if info.IsDir() {
			lines = append(lines, prefix+name+"/")
			lines = append(lines, listing(t, f, dir+"/"+name, prefix+name+"/")...)
		} else {
			lines = append(lines, prefix+name+"="+string(get(t, f, dir+"/"+name)))
		}
	}
	return lines
}

func TestSameSeedSameLoss(t *testing.T) {
	m := vfs.NewMem()
	for i := range 20 {
		name := fmt.Sprintf("f%d", i)
		must(t, durable(t, m, name, bytes.Repeat([]byte("o"), 10_000)).Close())
		file := open(t, m, name, os.O_RDWR)
		write(t, file, 100, bytes.Repeat([]byte("n"), 20_000))
		must(t, m.Rename(name, "g"+name))
	}
	different := false
	first := listing(t, m.Clone().PowerLoss(rand.New(rand.NewPCG(0, 0))), ".", "")
	losses(t, m, func(after *vfs.Mem) {
		different = different || strings.Join(listing(t, after, ".", ""), "") != strings.Join(first, "")
	})
	again := listing(t, m.Clone().PowerLoss(rand.New(rand.NewPCG(0, 0))), ".", "")
	if strings.Join(first, "") != strings.Join(again, "") {
		t.Error("the same seed lost different things")
	}
	if !different {
		t.Error("400 seeds lost the same things")
	}
}

// BenchmarkPowerLoss is a crash point: clone, lose power, write on, with a preallocated
// journal of 64 MiB and twenty segments.
func BenchmarkPowerLoss(b *testing.B) {
	m := vfs.NewMem()
	journal := create(b, m, "journal")
	zeros := make([]byte, 1<<20)
	for i := range 64 {
		write(b, journal, int64(i)<<20, zeros)
	}
	for i := range 20 {
		write(b, create(b, m, fmt.Sprintf("segment-%d", i)), 0, bytes.Repeat([]byte("x"), 1<<20))
	}
	must(b, journal.Datasync())
	must(b, m.SyncDir("."))
	block, pos := bytes.Repeat([]byte("y"), 8<<10), int64(0)
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		write(b, journal, pos, block)
		pos = (pos + 8<<10) % (64 << 20)
		m.Clone().PowerLoss(rng)
		must(b, journal.Datasync())
	}
}
