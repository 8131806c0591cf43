package compress

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// vectors are the files that every language decodes; their README says what they are.
const vectors = "../../sdk/testdata"

var update = flag.Bool("update", false, "write the vectors anew, but for those of other programs")

var compressing = []batch.Codec{batch.Gzip, batch.Snappy, batch.LZ4, batch.Zstd}

// vectorRecords are records of every kind.
func vectorRecords() []*almadiav1.LogRecord {
	octets := make([]byte, 256)
	for i := range octets {
		octets[i] = byte(i)
	}
	return []*almadiav1.LogRecord{
		{},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("tombstone")},
		{Value: []byte("no key")},
		{Key: octets, Value: octets},
		{Key: []byte("k"), Value: []byte("before 1970"), TimestampMs: -1},
		{Key: []byte("k"), Value: []byte("earliest"), TimestampMs: math.MinInt64},
		{Key: []byte("k"), Value: []byte("latest"), TimestampMs: math.MaxInt64},
		{Value: []byte("h"), Headers: []*almadiav1.Header{{Key: "trace", Value: []byte("1")}, {Key: "trace", Value: []byte{0xff}}, {}}},
		{Key: []byte("long"), Value: bytes.Repeat(octets, 150), TimestampMs: 1_700_000_000_000},
	}
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(vectors, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	if *update {
		writeVectors(t)
	}
	set := read(t, "recordset.bin")
	var records, fromJSON almadiav1.RecordSet
	if err := proto.Unmarshal(set, &records); err != nil {
		t.Fatal(err)
	}
	if want := (&almadiav1.RecordSet{Records: vectorRecords()}); !proto.Equal(&records, want) {
		t.Error("recordset.bin has other records")
	}
	if err := protojson.Unmarshal(read(t, "recordset.json"), &fromJSON); err != nil || !proto.Equal(&fromJSON, &records) {
		t.Errorf("recordset.json has other records: %v", err)
	}
	for _, c := range compressing {
		t.Run(c.String(), func(t *testing.T) {
			var b almadiav1.RecordBatch
			if err := proto.Unmarshal(read(t, "batch."+c.String()), &b); err != nil {
				t.Fatal(err)
			}
			if b.Codec != almadiav1.CompressionCodec(c) || b.PayloadCrc32C != batch.CRC(b.Payload) || int(b.UncompressedBytes) != len(set) || int(b.RecordCount) != len(records.Records) {
				t.Errorf("header of the batch: %.300v", &b)
			}
			for name, payload := range map[string][]byte{"batch": b.Payload, "payload of another program": read(t, "payload."+c.String())} {
				got := make([]byte, len(set))
				if err := Fill(got, c, payload); err != nil || !bytes.Equal(got, set) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
}

func writeVectors(t *testing.T) {
	write := func(name string, b []byte, err error) {
		if err == nil {
			err = os.WriteFile(filepath.Join(vectors, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	records := &almadiav1.RecordSet{Records: vectorRecords()}
	set, err := proto.MarshalOptions{Deterministic: true}.Marshal(records)
	write("recordset.bin", set, err)
	loose, err := protojson.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	err = json.Indent(&indented, loose, "", "  ")
	write("recordset.json", append(indented.Bytes(), '\n'), err)
	for _, c := range compressing {
		payload, err := Append(nil, c, set)
		if err != nil {
			t.Fatal(err)
		}
		b, err := proto.Marshal(&almadiav1.RecordBatch{
			Codec: almadiav1.CompressionCodec(c), UncompressedBytes: int32(len(set)), RecordCount: uint32(len(records.Records)),
			MaxTimestampMs: math.MaxInt64, Payload: payload, PayloadCrc32C: batch.CRC(payload),
		})
		write("batch."+c.String(), b, err)
	}
}
