package server_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

// seek moves partitions of "demo".
func seek(id int64, places ...*almadiav1.PartitionPosition) *almadiav1.ConsumeRequest {
	return &almadiav1.ConsumeRequest{Seeks: places, SeekId: id}
}

func TestSeeksMoveTheirPartitions(t *testing.T) {
	r := start(t, beating)
	r.create(t, "demo", 2)
	for i := range 10 {
		r.values(t, "demo", int32(i%2), fmt.Sprint(i))
	}
	s := r.consume(t, reading(&almadiav1.ConsumeInit{Topics: []string{"demo"}}))
	s.hear(t)
	s.quiet(t)
	s.say(t, seek(7, from("demo", 0, atOffset(3)), from("demo", 1, &almadiav1.Position{Position: &almadiav1.Position_Last{Last: 1}})))
	got := s.next(t)
	if len(got.Partitions) != 2 || got.SeekId != 7 || fmt.Sprint(valuesOf(got.Partitions[0].Records), valuesOf(got.Partitions[1].Records)) != "[6 8] [9]" {
		t.Fatalf("%v", got)
	}
	// In this order: the last one counts. The id stays with what follows.
	s.say(t, seek(8, from("demo", 0, atOffset(0)), from("demo", 0, atOffset(4))))
	if got := s.next(t); len(got.Partitions) != 1 || got.SeekId != 8 || fmt.Sprint(valuesOf(got.Partitions[0].Records)) != "[8]" {
		t.Fatalf("%v", got)
	}
	r.values(t, "demo", 1, "new")
	if got := s.next(t); got.SeekId != 8 || fmt.Sprint(valuesOf(got.Partitions[0].Records)) != "[new]" {
		t.Fatalf("%v", got)
	}
	// One that is paused is moved, and waits.
	one := []*almadiav1.TopicPartition{{Topic: "demo", Partition: ptr(int32(1))}}
	s.say(t, &almadiav1.ConsumeRequest{Pauses: one, Seeks: []*almadiav1.PartitionPosition{from("demo", 1, earliest())}, SeekId: 9})
	for s.hear(t).SeekId != 9 {
	}
	s.quiet(t)
	s.say(t, &almadiav1.ConsumeRequest{Resumes: one})
	if got := s.next(t); got.SeekId != 9 || fmt.Sprint(valuesOf(got.Partitions[0].Records)) != "[1 3 5 7 9 new]" {
		t.Fatalf("%v", got)
	}
}

// Seeks race with records that are under way. What comes with their id was read after them, and
// goes on without a gap from where they led; what was read before comes with the id before.
func TestSeekIDsNeverComeEarly(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 2)
	const records, seeks = 400, 400
	for i := range records {
		for p := range int32(2) {
			r.values(t, "demo", p, fmt.Sprint(i, string(make([]byte, 500))))
		}
	}
	for _, format := range []almadiav1.RecordFormat{asRecords, asBatches} {
		init := earliestOf("demo")
		init.Options = &almadiav1.ReadOptions{Format: format, MaxBytes: 5_000}
		s := r.consume(t, reading(init))
		places := [][2]int64{{0, 0}} // by seek id: where each partition was sent
		rng := rand.New(rand.NewPCG(1, 2))
		for range seeks {
			places = append(places, [2]int64{rng.Int64N(records), rng.Int64N(records)})
		}
		go func() {
			for id, to := range places[1:] {
				if s.Send(seek(int64(id+1), from("demo", 0, atOffset(to[0])), from("demo", 1, atOffset(to[1])))) != nil {
					return // the other side tells
				}
			}
		}()
		id, next := int64(0), places[0]
		for reached := next; id < seeks || reached != [2]int64{records, records}; {
			resp := s.hear(t)
			if resp.SeekId < id {
				t.Fatalf("seek %d comes after %d", resp.SeekId, id)
			}
			if resp.SeekId > id {
				id, next = resp.SeekId, places[resp.SeekId]
			}
			for _, p := range resp.Partitions {
				at := &next[p.GetPartition()]
				for _, rec := range append(p.Records, unpack(t, p.Batches)...) {
					if rec.GetOffset() != *at {
						t.Fatalf("after seek %d partition %d has offset %d, want %d", id, p.GetPartition(), rec.GetOffset(), *at)
					}
					*at++
				}
				if p.GetNextOffset() != *at {
					t.Fatalf("after seek %d partition %d goes on at %d, want %d", id, p.GetPartition(), p.GetNextOffset(), *at)
				}
			}
			reached = next
		}
		s.cancel()
	}
}
