package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage/vfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
)

const streamCall = almadiav1.ProduceService_ProduceStream_FullMethodName

// producer is an open ProduceStream with the account of its client.
type producer struct {
	almadiav1.ProduceService_ProduceStreamClient
	cancel context.CancelFunc
	limits *almadiav1.ProduceStreamLimits

	sent   map[int64][]string // the values of each entry, by request id
	acks   map[int64]*almadiav1.ProduceAck
	notice *almadiav1.Notice
}

func (r *rig) stream(t *testing.T) *producer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return r.streamWith(t, ctx, cancel)
}

func (r *rig) streamWith(t *testing.T, ctx context.Context, cancel context.CancelFunc) *producer {
	t.Helper()
	s, err := r.produce.ProduceStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.Recv()
	if err != nil || first.Limits == nil || len(first.Acks) > 0 {
		t.Fatalf("the first message is %v, %v", first, err)
	}
	return &producer{ProduceService_ProduceStreamClient: s, cancel: cancel, limits: first.Limits,
		sent: map[int64][]string{}, acks: map[int64]*almadiav1.ProduceAck{}}
}

// send sends entries, numbered on where they have no id. What it cannot send because the
// stream has ended, the server has not got.
func (p *producer) send(init *almadiav1.ProduceStreamInit, entries ...*almadiav1.ProduceEntry) error {
	for _, e := range entries {
		id := e.RequestId
		if id == 0 {
			id = int64(len(p.sent)) + 1
		}
		p.sent[id] = valuesOf(e.Records)
	}
	return p.Send(&almadiav1.ProduceStreamRequest{Init: init, Entries: entries})
}

// must is send on a stream that has not ended.
func (p *producer) must(t *testing.T, init *almadiav1.ProduceStreamInit, entries ...*almadiav1.ProduceEntry) {
	t.Helper()
	if err := p.send(init, entries...); err != nil {
		t.Fatal(err)
	}
}

// next takes a message.
func (p *producer) next() error {
	resp, err := p.Recv()
	if err != nil {
		return err
	}
	if resp.Notice != nil {
		p.notice = resp.Notice
	}
	for _, a := range resp.Acks {
		if p.acks[a.RequestId] != nil {
			return fmt.Errorf("entry %d is acked twice", a.RequestId)
		}
		p.acks[a.RequestId] = a
	}
	return nil
}

// await waits for the ack of an entry.
func (p *producer) await(t *testing.T, id int64) *almadiav1.ProduceAck {
	t.Helper()
	for p.acks[id] == nil {
		if err := p.next(); err != nil {
			t.Fatalf("ack %d: %v", id, err)
		}
	}
	return p.acks[id]
}

// end reads to the end of the stream, nil if that is OK.
func (p *producer) end() error {
	for {
		if err := p.next(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// done half-closes, and reads to the end.
func (p *producer) done(t *testing.T) error {
	t.Helper()
	if err := p.CloseSend(); err != nil {
		t.Fatal(err)
	}
	return p.end()
}

// check compares the account with the log. All values are different; so many may be lost
// to outcomes that nobody knows.
func (p *producer) check(t *testing.T, stored map[string][]place) (written int) {
	t.Helper()
	for id, values := range p.sent {
		told := map[string]place{}
		ack := p.acks[id]
		for _, res := range ack.GetResults() {
			for i := range res.RecordCount {
				at := i
				if len(res.RecordIndexes) > 0 {
					at = res.RecordIndexes[i]
				}
				told[values[at]] = place{res.GetPartition(), res.GetBaseOffset() + int64(i)}
			}
			if res.Durability != almadiav1.Durability_DURABILITY_FSYNCED || res.LeaderEpoch == 0 || res.AppendTimeMs == 0 {
				t.Errorf("entry %d: result %v", id, res)
			}
		}
		if ack != nil && ack.Error == nil && len(told) != len(values) {
			t.Errorf("entry %d has %d records, acknowledged are %d", id, len(values), len(told))
		}
		open := ack.GetError().GetCode() == int32(codes.Aborted)
		for _, v := range values {
			at, ok := told[v]
			switch got := stored[v]; {
			case len(got) > 1:
				t.Errorf("entry %d: %q is stored %d times", id, v, len(got))
			case ok && !slices.Equal(got, []place{at}):
				t.Errorf("entry %d: %q is acknowledged at %v, and stored at %v", id, v, at, got)
			case !ok && !open && len(got) > 0:
				t.Errorf("entry %d: %q is stored at %v without an acknowledgement: %v", id, v, got, ack)
			}
			written += len(stored[v])
		}
	}
	return written
}

type place struct {
	partition int32
	offset    int64
}

// stored is where each value of a topic is.
func (r *rig) stored(t *testing.T, topic string, partitions int32) map[string][]place {
	t.Helper()
	all := map[string][]place{}
	for p := range partitions {
		for o, v := range valuesOf(r.records(t, topic, p, asRecords)) {
			all[v] = append(all[v], place{p, int64(o)})
		}
	}
	return all
}

// to is an entry with these values for a partition.
func to(partition int32, values ...string) *almadiav1.ProduceEntry {
	e := &almadiav1.ProduceEntry{Partition: &partition}
	for _, v := range values {
		e.Records = append(e.Records, &almadiav1.LogRecord{Value: []byte(v)})
	}
	return e
}

func topicInit(name string) *almadiav1.ProduceStreamInit {
	return &almadiav1.ProduceStreamInit{Topic: name}
}

func goOn(name string) *almadiav1.ProduceStreamInit {
	return &almadiav1.ProduceStreamInit{Topic: name, ContinueOnError: true}
}

func TestAStreamWritesEveryFormOfEntry(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 3)
	r.create(t, "other", 1)
	p := r.stream(t)
	want := samples()
	set, err := proto.Marshal(&almadiav1.RecordSet{Records: want})
	if err != nil {
		t.Fatal(err)
	}
	p.must(t, topicInit("demo"),
		&almadiav1.ProduceEntry{Partition: ptr(int32(1)), Records: want},
		&almadiav1.ProduceEntry{Topic: "other", Partition: ptr(int32(0)), Batch: &almadiav1.RecordBatch{RecordCount: uint32(len(want)), Payload: set}},
		to(2, "text"))
	var keyed []*almadiav1.LogRecord
	for i := range 30 {
		keyed = append(keyed, textRecord(fmt.Sprint("key ", i), fmt.Sprint("keyed ", i)))
	}
	p.must(t, nil, &almadiav1.ProduceEntry{Records: keyed}, &almadiav1.ProduceEntry{Records: []*almadiav1.LogRecord{{Value: []byte("anywhere")}}})
	if err := p.done(t); err != nil {
		t.Fatal(err)
	}
	if len(p.acks) != 5 || len(p.acks[4].Results) != 3 || len(p.acks[4].Results[0].RecordIndexes) == 0 || len(p.acks[5].Results) != 1 {
		t.Errorf("acks %v", p.acks)
	}
	if got := r.records(t, "demo", 1, asRecords); p.acks[1].Results[0].GetBaseOffset() == 0 {
		sameRecords(t, got[:len(want)], want)
	} else {
		t.Errorf("ack %v", p.acks[1])
	}
	sameRecords(t, r.records(t, "other", 0, asRecords), want)
	delete(p.sent, 1) // values that are not different from each other
	delete(p.sent, 2)
	if n := p.check(t, r.stored(t, "demo", 3)); n != 32 {
		t.Errorf("%d values are stored", n)
	}
}

// Topic of the entry, else that of the init, else that of the entry before; ids are echoed,
// or counted.
func TestWhatAnEntryLeavesOut(t *testing.T) {
	for name, c := range map[string]struct {
		init    *almadiav1.ProduceStreamInit
		entries []*almadiav1.ProduceEntry
		want    string // topic of each value
		ids     []int64
	}{
		"the init has a topic": {topicInit("a"), []*almadiav1.ProduceEntry{{}, {Topic: "b"}, {}}, "a b a", []int64{1, 2, 3}},
		"it has none":          {nil, []*almadiav1.ProduceEntry{{Topic: "a"}, {}, {Topic: "b"}, {}, {}, {Topic: "a"}, {}}, "a a b b b a a", []int64{1, 2, 3, 4, 5, 6, 7}},
		"there are ids":        {&almadiav1.ProduceStreamInit{}, []*almadiav1.ProduceEntry{{Topic: "b", RequestId: 1 << 60}, {RequestId: -3}, {RequestId: 7}}, "b b b", []int64{1 << 60, -3, 7}},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			r.create(t, "a", 1)
			r.create(t, "b", 1)
			p := r.stream(t)
			for i, e := range c.entries {
				e.Records = to(0, fmt.Sprint(i)).Records
				p.must(t, c.init, e) // each in a message of its own
				c.init = nil
			}
			if err := p.done(t); err != nil {
				t.Fatal(err)
			}
			got := make([]string, len(c.entries))
			for _, topic := range []string{"a", "b"} {
				for v := range r.stored(t, topic, 1) {
					i, _ := strconv.Atoi(v)
					got[i] = topic
				}
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("written to %s, want %s", s, c.want)
			}
			if ids := slices.Sorted(maps.Keys(p.acks)); !slices.Equal(ids, slices.Sorted(slices.Values(c.ids))) {
				t.Errorf("acks %v, want %v", ids, c.ids)
			}
		})
	}
}

// Several streams write to the same partitions, all much faster than the disk; what each sent
// to a partition stands there in the order sent.
func TestEntriesKeepTheirOrder(t *testing.T) {
	const streams, partitions, each = 4, 3, 3_000
	r := start(t)
	r.create(t, "demo", partitions)
	var wg sync.WaitGroup
	producers := make([]*producer, streams)
	for w := range producers {
		p := r.stream(t)
		producers[w] = p
		sent := make(chan struct{})
		wg.Go(func() {
			defer close(sent)
			for i := 0; i < each; {
				var entries []*almadiav1.ProduceEntry
				for range 1 + (i+w)%5 {
					pad := strings.Repeat(".", i%11*i%700)
					entries = append(entries, to(int32(i*7%partitions), fmt.Sprintf("%d %d %s", w, i, pad)))
					i++
				}
				if err := p.Send(&almadiav1.ProduceStreamRequest{Init: topicOnce(i, entries, "demo"), Entries: entries}); err != nil {
					t.Error(err)
					return
				}
			}
			if err := p.CloseSend(); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := p.end(); err != nil {
				t.Error(err)
			}
			<-sent
		})
	}
	wg.Wait()
	next := map[[2]int]int{} // by stream and partition
	at := map[place]string{}
	for part := range int32(partitions) {
		for o, v := range valuesOf(r.records(t, "demo", part, asRecords)) {
			var w, i int
			fmt.Sscan(v, &w, &i)
			if i < next[[2]int{w, int(part)}] {
				t.Fatalf("entry %d of stream %d stands behind entry %d", i, w, next[[2]int{w, int(part)}])
			}
			next[[2]int{w, int(part)}] = i
			at[place{part, int64(o)}] = fmt.Sprintf("%d %d ", w, i)
		}
	}
	for w, p := range producers {
		if len(p.acks) < each {
			t.Errorf("stream %d has %d acks", w, len(p.acks))
		}
		for id, a := range p.acks {
			where := place{a.Results[0].GetPartition(), a.Results[0].GetBaseOffset()}
			if want := fmt.Sprintf("%d %d ", w, id-1); at[where] != want {
				t.Fatalf("%sis acknowledged at %v, where %q is", want, where, at[where])
			}
		}
	}
}

// topicOnce is the init of the message that has the first of all entries.
func topicOnce(sent int, entries []*almadiav1.ProduceEntry, topic string) *almadiav1.ProduceStreamInit {
	if sent > len(entries) {
		return nil
	}
	return topicInit(topic)
}

// received is how many messages of ProduceStreams the broker has taken in.
func (r *rig) received(t *testing.T) int {
	t.Helper()
	code, body := httpGet(t, "http://"+r.HTTPAddr()+"/metrics")
	if code != http.StatusOK {
		t.Fatal(code)
	}
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "grpc_server_msg_received_total") && strings.Contains(line, `"ProduceStream"`) {
			n, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
	}
	return 0
}

// still polls a number until it has not changed for a while.
func still(t *testing.T, number func() int) int {
	t.Helper()
	last, same := number(), 0
	for deadline := time.Now().Add(limit); same < 10; {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-t.Context().Done():
		}
		n := number()
		if same++; n != last {
			last, same = n, 0
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d, and it does not stop", n)
		}
	}
	return last
}

// While nothing is committed the broker takes in what its limits say, and one message beyond,
// and then no more: the client is blocked. Afterwards everything goes its way.
func TestLimitsAreKept(t *testing.T) {
	for name, size := range map[string]int{"of bytes": 64 << 10, "of entries": 100} {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			r := start(t, on(vfs.WithHook(vfs.NewMem(), g.hook)), func(c *server.Config) { c.HTTPListen = "127.0.0.1:0" })
			r.create(t, "demo", 2)
			g.close()
			p := r.stream(t)
			entry := func(i int) *almadiav1.ProduceEntry {
				e := to(int32(i%2), fmt.Sprintf("%d %s", i, strings.Repeat("x", size)))
				e.Topic = "demo"
				return e
			}
			body := proto.Size(entry(1_000))
			want := min(int(p.limits.MaxInFlightCount), int(p.limits.MaxInFlightBytes)/body)
			window := 8<<20 + 1<<20 // what HTTP/2 and the client keep on the way
			entries := want + 3*window/body/2
			if size < 1_000 {
				entries = 4 * want
			}
			var sent atomic.Int64
			wrote := make(chan error, 1)
			go func() {
				for i := range entries {
					if err := p.Send(&almadiav1.ProduceStreamRequest{Entries: []*almadiav1.ProduceEntry{entry(i)}}); err != nil {
						wrote <- err
						return
					}
					sent.Add(1)
				}
				wrote <- p.CloseSend()
			}()
			got := still(t, func() int { return r.received(t) })
			if got < want || got > want+1 {
				t.Errorf("%d messages of %d bytes are taken in, the limits allow %d", got, body, want)
			}
			if n := int(sent.Load()); size >= 1_000 && (n == entries || n > want+window/body) {
				t.Errorf("the client has sent %d messages", n)
			}
			g.open()
			if err := p.end(); err != nil {
				t.Fatal(err)
			}
			if err := <-wrote; err != nil || len(p.acks) != entries {
				t.Errorf("%d of %d entries are acked, %v", len(p.acks), entries, err)
			}
		})
	}
}

// What is larger than the limit alone is taken when nothing else is there.
func TestAnEntryLargerThanTheLimit(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1, func(t *almadiav1.Topic) {
		t.Config = &almadiav1.TopicConfig{MaxRecordBytes: ptr(int32(16 << 20)), MaxBatchBytes: ptr(int32(16 << 20))}
	})
	p := r.stream(t)
	large := to(0, strings.Repeat("x", 16<<20-20))
	if n := proto.Size(large); n <= int(p.limits.MaxInFlightBytes)-20 || n >= int(p.limits.MaxMessageBytes) {
		t.Fatalf("the entry has %d bytes, limits are %v", n, p.limits)
	}
	p.must(t, topicInit("demo"), to(0, "before"))
	for range 3 {
		p.must(t, nil, large)
	}
	p.must(t, nil, to(0, "behind"))
	if err := p.done(t); err != nil {
		t.Fatal(err)
	}
	for id := range int64(5) {
		if a := p.acks[id+1]; a.GetError() != nil || a.Results[0].GetBaseOffset() != id {
			t.Errorf("ack %v", a)
		}
	}
}

// Many streams send more to a partition than it holds uncommitted. They wait; none is refused.
func TestAFullPartitionMakesStreamsWait(t *testing.T) {
	g := newGate()
	r := start(t, on(vfs.WithHook(vfs.NewMem(), g.hook)), func(c *server.Config) { c.HTTPListen = "127.0.0.1:0" })
	r.create(t, "demo", 1)
	g.close()
	const streams, each = 5, 30
	value := strings.Repeat("x", 500_000)
	var producers []*producer
	var wg sync.WaitGroup
	for range streams {
		p := r.stream(t)
		producers = append(producers, p)
		wg.Go(func() {
			for range each {
				if err := p.Send(&almadiav1.ProduceStreamRequest{Entries: []*almadiav1.ProduceEntry{{Topic: "demo", Records: []*almadiav1.LogRecord{{Value: []byte(value)}}}}}); err != nil {
					t.Error(err)
					return
				}
			}
			if err := p.CloseSend(); err != nil {
				t.Error(err)
			}
		})
	}
	still(t, func() int { return r.received(t) })
	trailer, err := r.invoke(t.Context(), produceCall, &almadiav1.ProduceRequest{Topic: "demo", Records: []*almadiav1.LogRecord{{Value: []byte(value)}}})
	refused(t, trailer, err, outOfCapacity) // it is full indeed
	g.open()
	for i, p := range producers {
		if err := p.end(); err != nil || len(p.acks) != each {
			t.Errorf("stream %d: %d acks, ended with %v", i, len(p.acks), err)
		}
		for id, a := range p.acks {
			if a.Error != nil {
				t.Errorf("stream %d, entry %d: %v", i, id, a.Error)
			}
		}
	}
	wg.Wait()
}
