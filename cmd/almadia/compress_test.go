package main

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/protobuf/proto"
)

// Compressed records go where the broker would put them, and come back as they were.
func TestProduceCompressed(t *testing.T) {
	s := newShell(t, nil)
	var in strings.Builder
	for i := range 3_000 {
		fmt.Fprintf(&in, "key%d\tvalue %d\n", i%50, i)
	}
	partitionOf := func(topic string) map[string]string { // of each line
		at := map[string]string{}
		for line := range strings.Lines(s.must("", "consume", topic, "-o", "start", "--until-end", "-f", `%p %k %v\n`)) {
			partition, rest, _ := strings.Cut(line, " ")
			at[rest] = partition
		}
		return at
	}
	s.must("", "topic", "create", "none", "-p", "4")
	s.must(in.String(), "produce", "none", "-f", `%k\t%v\n`)
	want := partitionOf("none")
	for _, codec := range []string{"gzip", "snappy", "lz4", "zstd"} {
		s.must("", "topic", "create", codec, "-p", "4")
		s.must(in.String(), "produce", codec, "-f", `%k\t%v\n`, "-z", codec)
		got := partitionOf(codec)
		if len(got) != 3_000 {
			t.Errorf("%s: %d records came back", codec, len(got))
		}
		for line, at := range want {
			if got[line] != at {
				t.Fatalf("%s: %q is in partition %q, uncompressed it is in %s", codec, line, got[line], at)
			}
		}
	}
	s.must("a\nb\n", "produce", "zstd", "-p", "2", "-z", "zstd")
	if got := s.must("", "consume", "zstd", "-p", "2", "-o", "-2", "--until-end", "-f", `%v `); got != "a b " {
		t.Errorf("partition 2 ends with %q", got)
	}
	if exit, _, errs := s.do("", "produce", "zstd", "-z", "brotli", "x"); exit != exitUsage || !strings.Contains(errs, "brotli") {
		t.Errorf("a codec that there is not: exit %d, %s", exit, errs)
	}
}

// What has no key goes to every partition in turn; what is too much for a batch in several.
func TestProduceCompressedWithoutKeys(t *testing.T) {
	s := newShell(t, func(c *server.Config) { c.AutoCreateTopics = true })
	var in strings.Builder
	for range 400 {
		fmt.Fprintf(&in, "%x\n", rand.Uint64())
	}
	s.must(in.String(), "produce", "new", "-z", "lz4") // makes the topic
	if got := s.must("", "consume", "new", "-o", "start", "--until-end", "-f", `%v\n`); got != in.String() {
		t.Errorf("%d bytes came back, %d went in", len(got), in.Len())
	}
	s.must("", "topic", "create", "small", "-p", "3", "-c", "max_batch_bytes=1KiB")
	s.must(in.String(), "produce", "small", "-z", "gzip")
	if got := strings.Count(s.must("", "consume", "small", "-o", "start", "--until-end", "-f", `%v\n`), "\n"); got != 400 {
		t.Errorf("%d records came back", got)
	}
	p := &producer{codec: batch.Gzip, partitions: 3}
	seen := map[int32]bool{}
	for range 3 {
		parts := p.apportion(load{records: []*almadiav1.LogRecord{{}, {}}, lines: []int64{1, 2}})
		if len(parts) != 1 || len(parts[0].records) != 2 {
			t.Fatalf("records without a key are apportioned as %+v", parts)
		}
		seen[*parts[0].partition] = true
	}
	if len(seen) != 3 {
		t.Errorf("three loads went to partitions %v", seen)
	}
}

func TestSettingsOfCodecsAndClocks(t *testing.T) {
	s := newShell(t, nil)
	s.must("", "topic", "create", "t", "-c", "timestamp_type=append_time", "-c", "allowed_codecs=zstd,gzip")
	described := words(s.must("", "topic", "describe", "t"))
	for _, want := range []string{"timestamp_type append_time (set for this topic)", "allowed_codecs gzip,zstd (set for this topic)"} {
		if !strings.Contains(described, want) {
			t.Errorf("describe does not say %q:\n%s", want, described)
		}
	}
	s.must("", "topic", "create", "plain", "-c", "allowed_codecs=none")
	s.must("", "topic", "create", "usual")
	for topic, want := range map[string]string{"plain": "allowed_codecs none (set for this topic)", "usual": "timestamp_type create_time (default) allowed_codecs gzip,snappy,lz4,zstd (default)"} {
		if got := strings.ReplaceAll(words(s.must("", "topic", "describe", topic)), "\n", " "); !strings.Contains(got, want) {
			t.Errorf("describe does not say %q:\n%s", want, got)
		}
	}
	exit, _, errs := s.do("", "produce", "t", "-z", "lz4", "x")
	if exit != exitFailed || !strings.Contains(errs, "it takes: none, gzip, zstd") {
		t.Errorf("a barred codec: exit %d, %s", exit, errs)
	}
	for _, setting := range []string{"timestamp_type=now", "allowed_codecs=", "allowed_codecs=zstd,brotli", "allowed_codecs=5"} {
		if exit, _, errs := s.do("", "topic", "create", "bad", "-c", setting); exit != exitUsage || !strings.Contains(errs, "setting") {
			t.Errorf("%s: exit %d, %s", setting, exit, errs)
		}
	}
}

// A batch that lies is warned of where records are printed, offline too, and the others are.
func TestALyingBatchIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	t.Run("online", func(t *testing.T) {
		s := newShell(t, func(c *server.Config) { c.Ephemeral, c.DataDir = false, dir })
		s.must("", "topic", "create", "t")
		s.must("", "produce", "t", "-z", "zstd", "first value")
		conn, err := (&globals{addr: s.addr}).dial()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		p := &producer{topic: "t", codec: batch.Gzip}
		req, err := p.request(load{records: []*almadiav1.LogRecord{{Value: []byte("lost value")}}, partition: proto.Int32(0)})
		if err != nil {
			t.Fatal(err)
		}
		req.Batch.RecordCount = 3
		if _, err := almadiav1.NewProduceServiceClient(conn).Produce(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		s.must("", "produce", "t", "-z", "lz4", "last value")
		exit, out, errs := s.do("", "consume", "t", "-o", "start", "--until-end", "-f", `%o %v\n`)
		if exit != 0 || out != "0 first value\n4 last value\n" || strings.Count(errs, "warning: ") != 1 || !strings.Contains(errs, "offsets 1 to 3") {
			t.Errorf("exit %d, %q, %q", exit, out, errs)
		}
	})
	s := &shell{t: t}
	out := s.must("", "log", "dump", "--records", filepath.Join(dir, "logs", "1-1", fmt.Sprintf("%020d-1.seg", 0)))
	for _, want := range []string{`"first value"`, `"last value"`, "offsets 1 to 3", " zstd ", " gzip ", " lz4 "} {
		if !strings.Contains(words(out), want) {
			t.Errorf("the dump does not say %q:\n%s", want, out)
		}
	}
}
