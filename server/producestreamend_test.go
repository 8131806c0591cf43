package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/server"
	"github.com/almadia/almadia/storage/vfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A client that is done gets all acks, however long they take, and then OK.
func TestAHalfClosedStreamIsAcked(t *testing.T) {
	g := newGate()
	r := start(t, on(vfs.WithHook(vfs.NewMem(), g.hook)), func(c *server.Config) { c.HTTPListen = "127.0.0.1:0" })
	r.create(t, "demo", 2)
	g.close()
	p := r.stream(t)
	for i := range 100 {
		p.must(t, topicOnce(i, nil, "demo"), to(int32(i%2), fmt.Sprint(i)))
	}
	if err := p.CloseSend(); err != nil {
		t.Fatal(err)
	}
	still(t, func() int { return r.received(t) })
	g.open()
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	if n := p.check(t, r.stored(t, "demo", 2)); n != 100 || len(p.acks) != 100 {
		t.Errorf("%d values are stored, %d acks", n, len(p.acks))
	}

	p = r.stream(t)
	if err := p.done(t); err != nil {
		t.Errorf("a stream without entries ended with %v", err)
	}
}

func TestAStreamEndsWithItsClient(t *testing.T) {
	r := start(t)
	r.create(t, "demo", 1)
	p := r.stream(t)
	p.must(t, topicInit("demo"), to(0, "a"))
	p.await(t, 1)
	p.must(t, nil, to(0, "b"))
	p.cancel()
	if err := p.end(); status.Code(err) != codes.Canceled {
		t.Errorf("ended with %v", err)
	}
	r.values(t, "demo", 0, "c")
	// That nothing of it is left is seen at the end: the broker stops in time, and no goroutine stays.
}

// Before its deadline a stream tells what became of everything. What it leaves without an ack
// is not written afterwards either. On a machine that is too busy to tell in time the client
// ends the stream first, and knows nothing: then it is tried again with more time.
func TestAStreamReachesItsDeadline(t *testing.T) {
	for _, init := range []*almadiav1.ProduceStreamInit{topicInit("demo"), goOn("demo")} {
		told := false
		for _, deadline := range []time.Duration{700 * time.Millisecond, 5 * time.Second, 15 * time.Second} {
			if told = reachesItsDeadline(t, init, deadline); told {
				break
			}
		}
		if !told {
			t.Errorf("continue %v: the client came first, every time", init.ContinueOnError)
		}
	}
}

// reachesItsDeadline is false if the client ended the stream before the broker did.
func reachesItsDeadline(t *testing.T, init *almadiav1.ProduceStreamInit, deadline time.Duration) bool {
	g := newGate()
	r := start(t, on(vfs.WithHook(vfs.NewMem(), g.hook)))
	r.create(t, "demo", 2)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	p := r.streamWith(t, ctx, cancel)
	p.must(t, init, to(0, "first"))
	p.await(t, 1)
	g.close()
	for i := range 400 {
		if p.send(nil, to(int32(i%2), fmt.Sprint(i, strings.Repeat("x", i*300)))) != nil {
			break
		}
	}
	err := p.end()
	trailer := p.Trailer().Get("almadia-reason")
	if len(trailer) == 0 && status.Code(err) == codes.DeadlineExceeded {
		g.open()
		return false
	}
	if len(trailer) != 1 || init.ContinueOnError && status.Code(err) != codes.Unavailable || !init.ContinueOnError && status.Code(err) != codes.Aborted {
		t.Errorf("continue %v: ended with %v", init.ContinueOnError, err)
	}
	unknown := 0
	for _, a := range p.acks {
		if a.Error.GetReason() == unknownOutcome {
			unknown++
		}
	}
	if unknown == 0 {
		t.Error("no outcome is unknown, although raft must have some entries")
	}
	g.open()
	r.values(t, "demo", 0, "last")
	r.values(t, "demo", 1, "last, too")
	p.check(t, r.stored(t, "demo", 2))
	return true
}

// Whatever a stream has in flight when its topic goes, and whatever comes then, is told.
func TestATopicGoesWhileAStreamWritesToIt(t *testing.T) {
	for _, init := range []*almadiav1.ProduceStreamInit{topicInit("demo"), goOn("demo")} {
		r := start(t)
		r.create(t, "demo", 1)
		r.create(t, "other", 1)
		p := r.stream(t)
		p.must(t, init, to(0, "a"))
		p.await(t, 1)
		if _, err := r.topic.DeleteTopic(t.Context(), &almadiav1.DeleteTopicRequest{Topic: "demo"}); err != nil {
			t.Fatal(err)
		}
		other := to(0, "c")
		other.Topic = "other"
		p.must(t, nil, to(0, "b"), other)
		err := p.done(t)
		if p.acks[2].GetError().GetReason() != noTopic {
			t.Errorf("ack %v", p.acks[2])
		}
		if init.ContinueOnError {
			if err != nil || p.acks[3] == nil {
				t.Errorf("acks %v, ended with %v", p.acks, err)
			}
			continue
		}
		refused(t, p.Trailer(), err, noTopic, "topic", "demo")
		if p.acks[3] != nil || len(r.stored(t, "other", 1)) > 0 {
			t.Error("an entry behind the one that failed is written")
		}
	}
}

func TestAStreamCreatesTopics(t *testing.T) {
	r := start(t, func(c *server.Config) { c.AutoCreateTopics = true })
	p := r.stream(t)
	p.must(t, topicInit("new"), to(0, "a"))
	p.await(t, 1)
	if n := p.check(t, r.stored(t, "new", 1)); n != 1 {
		t.Errorf("%d values are stored", n)
	}
	if _, err := r.topic.DeleteTopic(t.Context(), &almadiav1.DeleteTopicRequest{Topic: "new"}); err != nil {
		t.Fatal(err)
	}
	p.must(t, nil, to(0, "b"))
	if a := p.await(t, 2); a.Error != nil || a.Results[0].GetBaseOffset() != 0 {
		t.Errorf("ack %v", a)
	}
	p.must(t, nil, to(5, "c"))
	err := p.done(t)
	refused(t, p.Trailer(), err, noPartition)
}

// A broker that stops warns its streams, acks what it has begun, and refuses the rest: under
// load nobody is told anything else, what was acknowledged is there afterwards, and what was
// not is not.
func TestAStopEndsStreamsUnderLoad(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, on(disk))
	r.create(t, "demo", 3)
	const streams = 6
	producers := make([]*producer, streams)
	var wg sync.WaitGroup
	var acked atomic.Int64
	loaded := make(chan struct{})
	for w := range producers {
		p := r.stream(t)
		producers[w] = p
		init := topicInit("demo")
		init.ContinueOnError = w%2 == 1
		var mu sync.Mutex // guards the account of p
		wg.Go(func() {
			for i := 0; ; i++ {
				e := to(int32(i%3), fmt.Sprint(w, " ", i, " ", strings.Repeat("x", i%3_000)))
				if i%5 == 4 {
					e.Partition = nil
					for j := range 5 {
						e.Records = append(e.Records, textRecord(fmt.Sprint(j), fmt.Sprint(w, " ", i, " ", j)))
					}
				}
				mu.Lock()
				err := p.send(init, e)
				mu.Unlock()
				if err != nil {
					return
				}
				init = nil
			}
		})
		wg.Go(func() {
			for {
				resp, err := p.Recv()
				if err != nil {
					refused(t, p.Trailer(), err, notReady)
					if p.notice.GetReason() != almadiav1.NoticeReason_NOTICE_REASON_DRAINING {
						t.Errorf("stream %d was not warned", w)
					}
					return
				}
				if resp.Notice != nil {
					p.notice = resp.Notice
				}
				mu.Lock()
				for _, a := range resp.Acks {
					p.acks[a.RequestId] = a
					if acked.Add(1) == 5_000 {
						close(loaded)
					}
				}
				mu.Unlock()
			}
		})
	}
	<-loaded
	before := time.Now()
	r.stop(t)
	if took := time.Since(before); took > limit/4 {
		t.Errorf("the stop took %v", took)
	}
	wg.Wait()

	r = start(t, on(disk))
	stored := r.stored(t, "demo", 3)
	written, all := 0, 0
	for _, p := range producers {
		written += p.check(t, stored)
	}
	for _, at := range stored {
		all += len(at)
	}
	if written != all {
		t.Errorf("%d of %d values belong to an entry", written, all)
	}
}

// A stop waits for what the disk has not answered yet.
func TestAStopWaitsForEntriesInFlight(t *testing.T) {
	g := newGate()
	disk := vfs.NewMem()
	r := start(t, on(vfs.WithHook(disk, g.hook)), func(c *server.Config) { c.HTTPListen = "127.0.0.1:0" })
	r.create(t, "demo", 1)
	g.close()
	p := r.stream(t)
	for i := range 20 {
		p.must(t, topicOnce(i, nil, "demo"), to(0, fmt.Sprint(i)))
	}
	still(t, func() int { return r.received(t) })
	stopped := make(chan struct{})
	go func() {
		r.stop(t)
		close(stopped)
	}()
	for p.notice == nil {
		if err := p.next(); err != nil {
			t.Fatal(err)
		}
	}
	if p.send(nil, to(0, "late")) == nil && len(p.acks) > 0 {
		t.Errorf("acks %v", p.acks)
	}
	timer := time.AfterFunc(2500*time.Millisecond, g.open) // longer than a stop waits for streams
	defer timer.Stop()
	err := p.end()
	refused(t, p.Trailer(), err, notReady)
	<-stopped
	if len(p.acks) != 20 {
		t.Errorf("%d acks", len(p.acks))
	}
	p.check(t, start(t, on(disk)).stored(t, "demo", 1))
}

// When the disk fails nobody is told that something is written, or is not, unless it is so.
func TestADiskFailsUnderStreams(t *testing.T) {
	var broken atomic.Bool
	disk := vfs.NewMem()
	r := start(t, on(vfs.WithHook(disk, func(op vfs.Op) error {
		if op.Kind == vfs.OpDatasync && broken.Load() {
			return errors.New("the disk is gone")
		}
		return nil
	})))
	r.create(t, "demo", 2)
	p := r.stream(t)
	for i := 0; ; i++ {
		if p.send(topicOnce(i, nil, "demo"), to(int32(i%2), fmt.Sprint(i))) != nil {
			break
		}
		if i == 300 {
			broken.Store(true)
		}
	}
	err := p.end()
	if err == nil {
		t.Fatal("the stream ended well")
	}
	if err := r.Wait(); err == nil {
		t.Error("the broker ended well")
	}
	if len(p.Trailer().Get("almadia-reason")) == 0 { // the connection was cut: all is open
		for id := range p.sent {
			if p.acks[id] == nil {
				delete(p.sent, id)
			}
		}
	}
	p.check(t, start(t, on(disk)).stored(t, "demo", 2))
}

// A client that sends and does not read its acks is stopped before long. It holds up nobody
// else on its connection, and loses nothing.
func TestAClientThatDoesNotReadItsAcks(t *testing.T) {
	r := start(t, func(c *server.Config) { c.HTTPListen = "127.0.0.1:0" })
	r.create(t, "demo", 1)
	p := r.stream(t)
	const entries = 20_000
	value := strings.Repeat("x", 2_000)
	sent := make(chan error, 1)
	go func() {
		for range entries {
			e := to(0, value)
			e.Topic = "demo"
			if err := p.Send(&almadiav1.ProduceStreamRequest{Entries: []*almadiav1.ProduceEntry{e}}); err != nil {
				sent <- err
				return
			}
		}
		sent <- p.CloseSend()
	}()
	if n := still(t, func() int { return r.received(t) }); n > entries/2 {
		t.Errorf("%d of %d messages are taken in", n, entries)
	}
	r.create(t, "other", 1)
	r.values(t, "other", 0, "somebody else's")
	q := r.stream(t)
	q.must(t, topicInit("other"), to(0, "on a stream"))
	if err := q.done(t); err != nil {
		t.Error(err)
	}
	if err := p.end(); err != nil || len(p.acks) != entries {
		t.Errorf("%d acks, ended with %v", len(p.acks), err)
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// A stop does not wait for such a client either.
func TestAStopDoesNotWaitForUnreadAcks(t *testing.T) {
	r := start(t, func(c *server.Config) { c.HTTPListen = "127.0.0.1:0" })
	r.create(t, "demo", 1)
	p := r.stream(t)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for {
			if p.Send(&almadiav1.ProduceStreamRequest{Entries: []*almadiav1.ProduceEntry{{Topic: "demo", Records: to(0, strings.Repeat("x", 2_000)).Records}}}) != nil {
				return
			}
		}
	}()
	still(t, func() int { return r.received(t) })
	before := time.Now()
	r.stop(t)
	if took := time.Since(before); took > limit/4 {
		t.Errorf("the stop took %v", took)
	}
	p.cancel()
	<-sent
}
