package vfs_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/almadia/almadia/storage/vfs"
)

// The models remember everything since the last sync. That makes it easy to say what a
// power loss may leave, without saying how.

func TestModels(t *testing.T) {
	for seed := range uint64(40) {
		runContentModel(t, rand.New(rand.NewPCG(seed, 1)))
		runNameModel(t, rand.New(rand.NewPCG(seed, 2)))
		if t.Failed() {
			t.Fatalf("at seed %d", seed)
		}
	}
}

func FuzzContentModel(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { runContentModel(t, rand.New(rand.NewPCG(a, b))) })
}

func FuzzNameModel(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { runNameModel(t, rand.New(rand.NewPCG(a, b))) })
}

// contentModel is all contents of a file since its last sync: the synced one first, the
// current one last.
type contentModel [][]byte

func (m contentModel) now() []byte { return m[len(m)-1] }

// explain says what cannot be about bytes found after a power loss. The length must be
// the synced one, the current one or, if the file only grew, whole sectors between; each
// byte must be what its place once held, and what lies past an end counts as zero. Unless
// the length is as it was, bytes that were cut off must not be back.
func (m contentModel) explain(found []byte) error {
	synced, now, least := len(m[0]), len(m.now()), len(m[0])
	for _, c := range m {
		least = min(least, len(c))
	}
	between := least == synced && synced < len(found) && len(found) < now && len(found)%sector == 0
	if len(found) != synced && len(found) != now && !between {
		return fmt.Errorf("%d bytes; %d were synced, %d came later", len(found), synced, now)
	}
	for i, b := range found {
		if i < now && b == m.now()[i] {
			continue
		}
		held := func(c []byte) bool { return i < len(c) && c[i] == b || i >= len(c) && b == 0 }
		since := 0
		for k, c := range m {
			if len(c) <= i && len(found) != synced {
				since = k
			}
		}
		if !slices.ContainsFunc(m[since:], held) {
			return fmt.Errorf("byte %d is %d, which it never was", i, b)
		}
	}
	return nil
}

// runContentModel does random operations on a file of a Mem and on the model, through
// crashes and power losses, and explains others that could follow each operation.
func runContentModel(t *testing.T, rng *rand.Rand) {
	m := vfs.NewMem()
	file := durable(t, m, "a", nil)
	model := contentModel{nil}
	for range 60 {
		content := slices.Clone(model.now())
		switch rng.IntN(10) {
		case 0, 1, 2, 3:
			pos, data := rng.IntN(9_000), bytes.Repeat([]byte{byte(rng.IntN(256))}, rng.IntN(3_000))
			write(t, file, int64(pos), data)
			if len(data) > 0 {
				content = append(content, make([]byte, max(0, pos+len(data)-len(content)))...)
				copy(content[pos:], data)
			}
			model = append(model, content)
		case 4, 5:
			size := rng.IntN(12_000)
			must(t, file.Truncate(int64(size)))
			content = append(content, make([]byte, max(0, size-len(content)))...)[:size]
			model = append(model, content)
		case 6, 7:
			must(t, file.WriteBack(rng.Int64N(9_000), rng.Int64N(6_000)))
		case 8:
			must(t, file.Datasync())
			model = model[len(model)-1:]
		case 9:
			if rng.IntN(2) == 0 {
				m = m.Crash()
			} else {
				m = m.PowerLoss(rng)
				found := get(t, m, "a")
				must(t, model.explain(found))
				model = contentModel{found}
			}
			file = open(t, m, "a", os.O_RDWR)
		}
		if !bytes.Equal(contentOf(t, file), model.now()) {
			t.Fatal("the file differs from the model")
		}
		for range 3 {
			must(t, model.explain(get(t, m.Clone().PowerLoss(rng), "a")))
		}
	}
}

// nameModel is all tables of names there ever were, each with the content, and thereby
// the identity, of the files. Those of a directory are durable up to synced.
type nameModel struct {
	tables []map[string]string
	synced map[string]int
	files  int
}

func (m *nameModel) now() map[string]string { return m.tables[len(m.tables)-1] }

func (m *nameModel) next() map[string]string {
	m.tables = append(m.tables, maps.Clone(m.now()))
	return m.now()
}

// explain says what cannot be about the names found after a power loss. Each must name
// a file that it named since the last sync of its directory, or none if it once named
// none; no file has two names; and one that always had some name has one.
func (m *nameModel) explain(found map[string]string) error {
	for _, dir := range []string{"d", "e"} {
		for _, base := range nameModelBases {
			name := dir + "/" + base
			named := func(table map[string]string) bool { return table[name] == found[name] }
			if !slices.ContainsFunc(m.tables[m.synced[dir]:], named) {
				return fmt.Errorf("%s is file %q, which it never was", name, found[name])
			}
		}
	}
	times := make(map[string]int)
	for _, file := range found {
		times[file]++
	}
	for i := range m.files {
		file := fmt.Sprint(i)
		always := true
		for _, table := range m.tables[min(m.synced["d"], m.synced["e"]):] {
			always = always && slices.Contains(slices.Collect(maps.Values(table)), file)
		}
		if times[file] > 1 || always && times[file] == 0 {
			return fmt.Errorf("file %s has %d names", file, times[file])
		}
	}
	return nil
}

var nameModelBases = []string{"a", "b", "c"}

// runNameModel does random operations on the names in two directories.
func runNameModel(t *testing.T, rng *rand.Rand) {
	m := vfs.NewMem()
	must(t, m.Mkdir("d"))
	must(t, m.Mkdir("e"))
	must(t, m.SyncDir("."))
	model := nameModel{tables: []map[string]string{{}}, synced: make(map[string]int)}
	pick := func() (dir, name string) {
		dir = []string{"d", "e"}[rng.IntN(2)]
		return dir, dir + "/" + nameModelBases[rng.IntN(len(nameModelBases))]
	}
	for range 60 {
		dir, name := pick()
		_, to := pick()
		file, taken := model.now()[name]
		switch op := rng.IntN(10); {
		case op == 0:
			must(t, m.SyncDir(dir))
			model.synced[dir] = len(model.tables) - 1
		case op == 1 && rng.IntN(4) == 0:
			m = m.PowerLoss(rng)
			found := tableOf(t, m)
			must(t, model.explain(found))
			model.tables = append(model.tables, found)
			model.synced["d"], model.synced["e"] = len(model.tables)-1, len(model.tables)-1
		case !taken:
			created := create(t, m, name)
			write(t, created, 0, fmt.Append(nil, model.files))
			must(t, created.Sync())
			must(t, created.Close())
			model.next()[name] = fmt.Sprint(model.files)
			model.files++
		case op < 4:
			must(t, m.Remove(name))
			delete(model.next(), name)
		default:
			must(t, m.Rename(name, to))
			table := model.next()
			delete(table, name)
			table[to] = file
		}
		if !maps.Equal(tableOf(t, m), model.now()) {
			t.Fatal("the names differ from the model")
		}
		for range 3 {
			must(t, model.explain(tableOf(t, m.Clone().PowerLoss(rng))))
		}
	}
}

func tableOf(t *testing.T, m *vfs.Mem) map[string]string {
	t.Helper()
	table := make(map[string]string)
	for _, dir := range []string{"d", "e"} {
		names, err := m.ReadDir(dir)
		must(t, err)
		for _, name := range names {
			table[dir+"/"+name] = string(get(t, m, dir+"/"+name))
		}
	}
	return table
}
