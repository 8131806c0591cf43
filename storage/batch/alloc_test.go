//go:build !race

package batch

import (
	"math"
	"runtime"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

// The path of a record allocates nothing. (Under the race detector pools forget at random.)
func TestThePathOfARecordAllocatesNothing(t *testing.T) {
	frame, h := storedFrame(t, someRecords(), 5)
	control := Control(Noop, nil)
	noop := make([]byte, len(control))
	payload := h.Payload(frame)
	buf := append(make([]byte, HeaderRoom), payload...)
	dst := make([]byte, 0, 1<<20)
	msg := encode(t, &almadiav1.ProduceRequest{Topic: "demo", Records: someRecords()})
	ready := encode(t, &almadiav1.RecordBatch{RecordCount: h.RecordCount, Payload: payload})
	stream := encode(t, &almadiav1.ProduceStreamRequest{Entries: []*almadiav1.ProduceEntry{
		{Topic: "demo", RequestId: 1, Records: someRecords()}, {Topic: "demo", RequestId: 2, Records: someRecords()},
	}})
	var req, entry Request
	if err := ParseRequest(msg, &req); err != nil {
		t.Fatal(err)
	}
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, f := range map[string]func(){
		"Finish": func() {
			Finish(buf, HeaderRoom, Draft{RecordCount: h.RecordCount, MaxTimestamp: 5, PayloadCRC: h.PayloadCRC})
		},
		"Seal":         func() { copy(noop, control); Seal(noop, place) },
		"ParseHeader":  func() { _, err := ParseHeader(frame); fail(err) },
		"Next":         func() { _, _, _, err := Next(frame); fail(err) },
		"ParseRequest": func() { fail(ParseRequest(msg, &req)) },
		"ParseStreamRequest": func() {
			r, err := ParseStreamRequest(stream)
			fail(err)
			for body := range r.EachEntry {
				fail(ParseEntry(body, &entry))
			}
		},
		"ParseReady": func() { _, err := ParseReady(ready); fail(err) },
		"AppendTo": func() {
			out := dst
			for i := range req.Records {
				out = req.Records[i].AppendTo(out, 7)
			}
		},
		"Splice":    func() { _, _, _, _, err := Splice{}.Append(dst, frame, h, 0, math.MaxInt, 0); fail(err) },
		"text":      func() { _, _, _, _, err := Splice{Text: true}.Append(dst, frame, h, 0, math.MaxInt, 0); fail(err) },
		"TimeAt":    func() { _, _, _, err := TimeAt(frame, h, math.MinInt64); fail(err) },
		"Partition": func() { Partition(payload, 8) },
		"Buffer":    func() { b := NewBuffer(5_000); b.Retain(); b.Release(); b.Release() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

// A small message must not make the broker set much memory aside.
func TestHostileMessagesCostLittle(t *testing.T) {
	many := make([]byte, 16<<20) // of empty records, far more than allowed
	for i := 0; i < len(many); i += 2 {
		many[i] = tagRecord
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var req Request
	if err := ParseRequest(many, &req); err == nil {
		t.Fatal("accepted")
	}
	runtime.ReadMemStats(&after)
	if cost := after.TotalAlloc - before.TotalAlloc; cost > 64<<20 {
		t.Errorf("%d MiB were allocated", cost>>20)
	}
}
