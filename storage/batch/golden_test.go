package batch

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares hex dumps, one per line after its name, with a file.
func golden(t *testing.T, file string, names []string, values [][]byte) {
	t.Helper()
	var b strings.Builder
	for i, name := range names {
		fmt.Fprintf(&b, "%s %s\n", name, hex.EncodeToString(values[i]))
	}
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(b.String())) {
		t.Errorf("%s has\n%s and this program writes\n%s: files that exist could not be read", path, want, b.String())
	}
}

// The bytes of a segment are for ever: a change here needs a new format version.
func TestGoldenSegment(t *testing.T) {
	segment, frames := aRun(t)
	golden(t, "segment.golden",
		[]string{"header", "noop", "records-with-timestamp", "conf", "records", "trim"},
		append([][]byte{segment[:SegmentHeaderSize]}, frames...))
}

// compressedFrame has every scalar that a frame of records can have.
func compressedFrame() []byte {
	payload := []byte("what only a codec can read")
	frame := Finish(append(make([]byte, HeaderRoom), payload...), HeaderRoom, Draft{
		RecordCount: 3, MaxTimestamp: 1_600_000_000_000, PayloadCRC: CRC(payload), Codec: Zstd, Uncompressed: 300, BrokerTime: true,
	})
	Seal(frame, place)
	return frame
}

func TestGoldenCompressedFrame(t *testing.T) {
	golden(t, "compressed.golden", []string{"frame"}, [][]byte{compressedFrame()})
}

// What clients get for a frame, and what is stored of what they send.
func TestGoldenRecords(t *testing.T) {
	records := []*almadiav1.LogRecord{
		{Key: []byte("k1"), Value: []byte("hello"), TimestampMs: 1_600_000_000_000},
		{Value: []byte{0xff}, Headers: []*almadiav1.Header{{Key: "trace", Value: []byte("a1")}}},
		{},
	}
	frame, h := storedFrame(t, records, 0)
	asRecords, _, _, _, err := Splice{}.Append(nil, frame, h, 0, math.MaxInt, 0)
	if err != nil {
		t.Fatal(err)
	}
	asText, _, _, _, err := Splice{Text: true}.Append(nil, frame, h, 0, math.MaxInt, 0)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "records.golden",
		[]string{"frame", "records-format", "text-format"},
		[][]byte{frame, asRecords, asText})
}
