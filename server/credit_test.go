package server_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

// withCredit is a first message that turns credit on.
func withCredit(init *almadiav1.ConsumeInit, bytes int64) *almadiav1.ConsumeRequest {
	return &almadiav1.ConsumeRequest{Init: init, CreditBytes: &bytes}
}

func credit(bytes int64) *almadiav1.ConsumeRequest {
	return &almadiav1.ConsumeRequest{CreditBytes: &bytes}
}

// With a credit of one byte exactly one message comes, and then one for each time that there
// is credit again, given anew or back.
func TestCreditOfOneBringsOneMessage(t *testing.T) {
	for _, format := range []almadiav1.RecordFormat{asRecords, asText, asBatches} {
		t.Run(format.String(), func(t *testing.T) {
			r := start(t, beating)
			r.create(t, "demo", 2)
			for i := range 20 {
				r.values(t, "demo", int32(i%2), fmt.Sprint(i, string(make([]byte, 1_000))))
			}
			init := earliestOf("demo")
			init.Options = &almadiav1.ReadOptions{MaxBytes: 2_500, Format: format} // two records
			s := r.consume(t, withCredit(init, 0))
			s.quiet(t)
			s.say(t, credit(1))
			owed := s.next(t).SizeBytes - 1
			for i := range 6 {
				s.quiet(t)
				if owed < 1_000 || owed > 2_500 {
					t.Fatalf("the credit is overdrawn by %d", owed)
				}
				s.say(t, credit(owed))
				s.quiet(t) // nothing is left, and nothing is owed
				if i%2 == 0 {
					s.say(t, credit(1))
				} else {
					s.say(t, &almadiav1.ConsumeRequest{DoneBytes: 1})
				}
				owed = s.next(t).SizeBytes - 1
			}
		})
	}
}

// However the credit is cut, what was sent is never more than the credit and one message.
func TestCreditIsOverdrawnByOneMessageAtMost(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 3)
	const records = 300
	for i := range records {
		r.values(t, "demo", int32(i%3), fmt.Sprint(i, string(make([]byte, i))))
	}
	const most = 2_000
	init := earliestOf("demo")
	init.Options = &almadiav1.ReadOptions{MaxBytes: most}
	s := r.consume(t, withCredit(init, 1))
	given, sent := int64(1), int64(0)
	for n := 0; n < records; {
		resp := s.next(t)
		if sent >= given {
			t.Fatalf("%d bytes were sent on a credit of %d, and now %d more", sent, given, resp.SizeBytes)
		}
		if size := proto.Size(resp); size > most {
			t.Fatalf("a message of %d bytes", size)
		}
		for _, p := range resp.Partitions {
			n += len(p.Records)
		}
		sent += resp.SizeBytes
		more := max(1, (sent-given)/2+int64(n%7)*100)
		if given+more <= sent {
			more = sent - given + 1
		}
		s.say(t, &almadiav1.ConsumeRequest{CreditBytes: ptr(more - 1), DoneBytes: 1})
		given += more
	}
}

// Giving back what is done with keeps a stream going for ever, on a credit of one record.
func TestCreditGivenBackKeepsTheStreamGoing(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 2)
	for i := range 100 {
		r.values(t, "demo", int32(i%2), fmt.Sprint(i))
	}
	s := r.consume(t, withCredit(earliestOf("demo"), 10))
	next := [2]int64{}
	for next != [2]int64{50, 50} {
		resp := s.next(t)
		for _, p := range resp.Partitions {
			for _, rec := range p.Records {
				if rec.GetOffset() != next[p.GetPartition()] {
					t.Fatalf("partition %d: offset %d after %d", p.GetPartition(), rec.GetOffset(), next[p.GetPartition()])
				}
				next[p.GetPartition()]++
			}
		}
		s.say(t, &almadiav1.ConsumeRequest{DoneBytes: resp.SizeBytes})
	}
}

// More credit than can be counted is as much as can be.
func TestCreditIsCapped(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	s := r.consume(t, withCredit(earliestOf("demo"), math.MaxInt64), credit(math.MaxInt64), credit(math.MaxInt64))
	for i := range 5 {
		r.values(t, "demo", 0, fmt.Sprint(i))
		resp := s.next(t)
		s.say(t, &almadiav1.ConsumeRequest{CreditBytes: ptr(int64(math.MaxInt64)), DoneBytes: resp.SizeBytes})
	}
}

// A seek and an error cost nothing, and come without credit.
func TestControlIsFree(t *testing.T) {
	r := start(t, beating)
	r.create(t, "demo", 1)
	r.values(t, "demo", 0, "a", "b")
	s := r.consume(t, withCredit(&almadiav1.ConsumeInit{Topics: []string{"demo"}}, 0))
	for id, to := range map[int64]*almadiav1.Position{1: atOffset(0), 2: atOffset(9), 3: atAnchor(0)} {
		s.say(t, &almadiav1.ConsumeRequest{Seeks: []*almadiav1.PartitionPosition{from("demo", 0, to)}, SeekId: id})
		for {
			resp := s.hear(t)
			if resp.SizeBytes != 0 {
				t.Fatalf("%v", resp)
			}
			if resp.SeekId == id {
				if id == 2 && resp.Partitions[0].Error.GetReason() != outOfRange || id == 3 && resp.Partitions[0].GetNextOffset() != 2 {
					t.Errorf("%v", resp)
				}
				break
			}
		}
	}
}

// A client that reads nothing costs the broker little, whatever it has asked for, and nobody
// else waits for it.
func TestWhoDoesNotReadCostsLittle(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 4)
	large := make([]byte, 1<<20-100)
	for i := range 48 {
		r.values(t, "demo", int32(i%4), string(large))
	}
	const clients = 8
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range clients {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s, err := r.fetch.Consume(ctx)
		if err == nil {
			init := earliestOf("demo")
			init.Options = &almadiav1.ReadOptions{MaxBytes: 32 << 20, Format: asBatches}
			err = s.Send(reading(init))
		}
		if err == nil {
			_, err = s.Recv()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := r.consume(t, reading(&almadiav1.ConsumeInit{Topics: []string{"demo"}}))
	s.hear(t)
	for i := range 20 {
		began := time.Now()
		r.values(t, "demo", 0, fmt.Sprint(i))
		if got := valuesOf(s.next(t).Partitions[0].Records); !slices.Equal(got, []string{fmt.Sprint(i)}) {
			t.Fatalf("%.20q", got)
		}
		if took := time.Since(began); took > limit/4 {
			t.Errorf("a record took %v", took)
		}
	}
	runtime.GC()
	runtime.GC() // pools keep what is at rest for one more
	runtime.ReadMemStats(&after)
	// Both ends are in this process; the client's holds a message too.
	const perClient = 8<<20 + 5<<20
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > clients*perClient {
		t.Errorf("%d clients cost %d MiB", clients, grown>>20)
	} else {
		t.Logf("%d clients cost %d MiB", clients, grown>>20)
	}
}
