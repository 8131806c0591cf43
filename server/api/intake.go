package api

import (
	"cmp"
	"errors"
	"io"
	"runtime/debug"
	"time"

	"github.com/almadia/almadia/server/partition"
	"github.com/almadia/almadia/storage/batch"
	"github.com/grpc-ecosystem/go-grpc-middleware/v2/interceptors/recovery"
)

// intake is what only the receiving side of a ProduceStream knows.
type intake struct {
	order    *partition.Order // nil: entries stand for themselves
	messages int              // received
	entries  int64
	topic    string // of entries that name none
	fixed    bool   // topic is that of the init, else of the entry before
}

// receive takes entries until the stream is closed. Its last RecvMsg returns when the call
// has.
func (p *produceStream) receive() {
	defer func() {
		if panicked := recover(); panicked != nil { // the interceptor sees only the goroutine of the call
			p.close(&recovery.PanicError{Panic: panicked, Stack: debug.Stack()})
		}
	}()
	p.order = new(partition.Order)
	for p.await(p.hasRoom) {
		in := produceRequests.Get().(*produceRequest)
		err := received(p.stream.RecvMsg(&in.frame))
		if err == nil {
			err = p.takeMessage(in)
		}
		in.release()
		switch {
		case errors.Is(err, io.EOF): // all entries of the client are here
			p.close(nil)
		case err != nil:
			p.close(err)
		}
	}
}

// await waits until ready, which is called with mu; false if the stream was closed.
func (p *produceStream) await(ready func() bool) bool {
	for {
		p.mu.Lock()
		closed, ok := p.closed, ready()
		p.mu.Unlock()
		switch {
		case closed:
			return false
		case ok:
			return true
		}
		select {
		case <-p.room:
		case <-p.taking.Done():
			return false
		}
	}
}

// hasRoom tells whether there is room for an entry at all. Needs mu.
func (p *produceStream) hasRoom() bool {
	return p.count < maxInFlightEntries && p.bytes < maxInFlightBytes
}

// takeMessage takes the entries of a message, all of which is well-formed, or none.
func (p *produceStream) takeMessage(in *produceRequest) error {
	m, err := batch.ParseStreamRequest(in.frame.Bytes())
	if err != nil {
		return err
	}
	if m.HasInit {
		if err := p.takeInit(m.Init); err != nil {
			return err
		}
	}
	p.messages++
	for body := range m.EachEntry {
		if !p.takeEntry(&in.Request, body) {
			break
		}
	}
	return nil
}

func (p *produceStream) takeInit(init batch.StreamInit) error {
	if p.messages > 0 {
		return fieldError("init", "is allowed in the first message only")
	}
	if err := checkAcks("init.acks", init.Acks); err != nil {
		return err
	}
	if init.Topic != "" {
		if err := checkName("init.topic", init.Topic); err != nil {
			return err
		}
		p.topic, p.fixed = init.Topic, true
	}
	if init.ContinueOnError {
		p.order = nil
		p.mu.Lock()
		p.continueOnError = true
		p.mu.Unlock()
	}
	return nil
}

// takeEntry waits for room, and brings an entry on its way; false if the stream was closed.
func (p *produceStream) takeEntry(in *batch.Request, body []byte) bool {
	e := &streamEntry{bytes: len(body)}
	if !p.await(func() bool { return p.reserve(e) }) {
		return false
	}
	p.entries++
	e.number, e.since = p.entries, time.Now()
	defer func() { clear(in.Records) }() // the next entry may have fewer
	err := batch.ParseEntry(body, in)
	e.id = cmp.Or(in.ID, e.number)
	if err == nil {
		err = p.prepare(e, in)
	}
	if err != nil {
		return p.refuse(e, err)
	}
	return p.begin(e)
}

// reserve takes the room that an entry needs, if it is there. Needs mu.
func (p *produceStream) reserve(e *streamEntry) bool {
	fits := p.count < maxInFlightEntries && p.bytes+e.bytes <= maxInFlightBytes
	if fits || p.count == 0 {
		p.count++
		p.bytes += e.bytes
		return true
	}
	return false
}

// prepare makes the delivery of an entry.
func (p *produceStream) prepare(e *streamEntry, in *batch.Request) error {
	switch {
	case in.Topic == "":
		in.Topic = p.topic
	case !p.fixed:
		p.topic = in.Topic
	}
	topic, writes, err := p.service.prepare(p.taking, in)
	if err != nil {
		return err
	}
	e.delivery = newDelivery(topic, writes)
	e.order, e.delivery.settled = p.order, func() { p.settle(e) }
	return nil
}

// refuse ends an entry of which nothing was written. If the stream was closed meanwhile, the
// entry was never begun.
func (p *produceStream) refuse(e *streamEntry, err error) bool {
	p.mu.Lock()
	goesOn := !p.closed
	if goesOn {
		e.err = err
		p.settled = append(p.settled, e)
		goesOn = p.continueOnError
		p.closed = !goesOn
	}
	p.mu.Unlock()
	signal(p.wake)
	return goesOn
}

// begin brings an entry on its way, unless the stream was closed meanwhile.
func (p *produceStream) begin(e *streamEntry) bool {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.inFlight[e] = struct{}{}
	}
	p.mu.Unlock()
	if closed {
		e.drop()
		return false
	}
	p.service.calls.Add(1)
	e.push(p.taking)
	return true
}
