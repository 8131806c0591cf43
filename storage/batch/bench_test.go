package batch

import (
	"fmt"
	"math"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

const benchRecords = 1_000

// typical records: a key, a timestamp and a value of size bytes.
func typical(size int) []*almadiav1.LogRecord {
	records := make([]*almadiav1.LogRecord, benchRecords)
	for i := range records {
		records[i] = &almadiav1.LogRecord{Key: fmt.Appendf(nil, "key-%06d", i), Value: make([]byte, size), TimestampMs: 1_700_000_000_000 + int64(i)}
	}
	return records
}

// perRecord runs f, which works on benchRecords records.
func perRecord(b *testing.B, name string, f func() error) {
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := f(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchRecords, "ns/record")
	})
}

func BenchmarkRecords(b *testing.B) {
	records := typical(100)
	frame, h := storedFrame(b, records, 1_700_000_001_000)
	msg := encode(b, &almadiav1.ProduceRequest{Topic: "demo", Records: records})
	ready := encode(b, &almadiav1.RecordBatch{RecordCount: h.RecordCount, Payload: h.Payload(frame)})
	dst := make([]byte, 0, 1<<20)
	var req Request
	perRecord(b, "ParseRequest", func() error { return ParseRequest(msg, &req) })
	perRecord(b, "AppendTo", func() error {
		out := dst
		for i := range req.Records {
			out = req.Records[i].AppendTo(out, 0)
		}
		return nil
	})
	perRecord(b, "ParseReady", func() error { _, err := ParseReady(ready); return err })
	perRecord(b, "Next", func() error { _, _, _, err := Next(frame); return err })
	perRecord(b, "Splice", func() error { _, _, _, _, err := Splice{}.Append(dst, frame, h, 0, math.MaxInt, 0); return err })
	perRecord(b, "SpliceText", func() error {
		_, _, _, _, err := Splice{Text: true}.Append(dst, frame, h, 0, math.MaxInt, 0)
		return err
	})
	perRecord(b, "TimeAt", func() error { _, _, _, err := TimeAt(frame, h, 1_700_000_000_999); return err })
}

func BenchmarkFrame(b *testing.B) {
	payload := make([]byte, 64<<10)
	frame, _ := bound(payload, 1, 5, place)
	fresh := unbound(payload, 1, 5)
	work := make([]byte, len(fresh))
	b.Run("ParseHeader", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseHeader(frame); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			copy(work, fresh[:HeaderRoom])
			Seal(work, place)
		}
	})
	b.Run("CRC64KiB", func(b *testing.B) {
		b.SetBytes(int64(len(payload)))
		for b.Loop() {
			CRC(payload)
		}
	})
}
