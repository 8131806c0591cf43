package server_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage/vfs"
)

// TestGoldenDirectories: what earlier releases wrote opens, is served whole and in order, and is
// written to. See testdata/golden/README.md.
func TestGoldenDirectories(t *testing.T) {
	for _, c := range []struct {
		name  string
		plain int
	}{
		{"stopped", 1000},
		{"killed", 1500},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := unpackDirectory(t, "testdata/golden/"+c.name+".tar.gz")
			// Retention by time would let go of them some day.
			r := start(t, on(mem), func(c *server.Config) { c.RetentionInterval = time.Hour })
			plain := r.records(t, "plain", 0, asRecords)
			if len(plain) != c.plain {
				t.Errorf("%d records of plain, want %d", len(plain), c.plain)
			}
			for i, rec := range plain {
				if want := fmt.Sprint("line ", i); string(rec.Value) != want || len(rec.Headers) != 1 || string(rec.Headers[0].Value) != "golden" {
					t.Fatalf("record %d of plain is %v, want %q", i, rec, want)
				}
			}
			var keyed [][]*almadiav1.LogRecord
			for p := range int32(4) {
				keyed = append(keyed, r.records(t, "keyed", p, asRecords))
			}
			checkKeyed(t, keyed)
			if _, err := r.topic.GetTopic(t.Context(), &almadiav1.GetTopicRequest{Topic: "gone"}); err == nil {
				t.Error("a topic that was deleted is back")
			}
			resp := r.write(t, &almadiav1.ProduceRequest{Topic: "plain", Records: []*almadiav1.LogRecord{{Value: []byte("more")}}})
			if at := resp.Results[0].GetBaseOffset(); at != int64(c.plain) {
				t.Errorf("what is written now is at offset %d, want %d", at, c.plain)
			}
		})
	}
}

// checkKeyed: every value is there once, with its key, and those of a key are in order.
func checkKeyed(t *testing.T, partitions [][]*almadiav1.LogRecord) {
	t.Helper()
	const records, keys = 8000, 97
	seen, last := 0, map[string]int{}
	for _, all := range partitions {
		for _, rec := range all {
			var i int
			if _, err := fmt.Sscanf(string(rec.Value), "value %d ................................", &i); err != nil {
				t.Fatalf("value %q: %v", rec.Value, err)
			}
			key := string(rec.Key)
			if before, ok := last[key]; key != fmt.Sprint("k", i%keys) || ok && i != before+keys {
				t.Fatalf("value %d of key %q follows %d", i, key, before)
			}
			last[key] = i
			seen++
		}
	}
	if seen != records {
		t.Errorf("%d records of keyed, want %d", seen, records)
	}
}

// unpackDirectory brings a packed data directory to /data of a file system in memory.
func unpackDirectory(t *testing.T, name string) *vfs.Mem {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	mem := vfs.NewMem()
	for in := tar.NewReader(unzipped); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return mem
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := unpackOne(mem, path.Join("/", h.Name), h.FileInfo().IsDir(), in); err != nil {
			t.Fatal(err)
		}
	}
}

func unpackOne(mem *vfs.Mem, name string, dir bool, content io.Reader) error {
	if dir {
		return mem.Mkdir(name)
	}
	f, err := mem.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.NewOffsetWriter(f, 0), content)
	return err
}
