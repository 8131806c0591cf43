package batch

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of ProduceRequest.
const (
	requestRecords protowire.Number = 1 + iota
	requestBatch
	requestTopic
	requestPartition
	requestAcks
	requestConditional // kept free for conditional appends
	requestProducer    // kept free for idempotent producers
)

// Request is a ProduceRequest cut into its parts; all slices alias the message.
type Request struct {
	Topic        string
	Partition    int32
	HasPartition bool
	Acks         int32
	Records      []Record // the simple form
	Batch        []byte   // the fast form: an encoded RecordBatch, for ParseReady
	HasBatch     bool
}

// ParseRequest reads an encoded ProduceRequest into req, reusing its slices. Unknown
// fields are ignored, but those kept free for what changes the meaning of a write are
// refused. *FieldError for anything malformed, both forms at once or none, or a record
// against the rules of LogRecord (key with key_text, invalid UTF-8, more than MaxHeaders,
// ...). Whether a topic is named, and a partition if there is a batch, is the caller's to
// check. After an error req holds nothing of use.
func ParseRequest(msg []byte, req *Request) error {
	*req = Request{Topic: req.Topic, Records: req.Records[:0]}
	var topic []byte
	for len(msg) > 0 {
		f, ok := cut(msg)
		if !ok {
			return &FieldError{"request", malformed}
		}
		data := f.data(msg)
		msg = msg[f.size:]
		if err := req.take(f, data); err != nil {
			return err
		}
		if f.num() == requestTopic {
			topic = data
		}
	}
	if req.Topic != string(topic) { // a connection writes to few topics: spare the copy
		req.Topic = string(topic)
	}
	switch {
	case req.HasBatch && len(req.Records) > 0:
		return &FieldError{"batch", notTogether + "records"}
	case !req.HasBatch && len(req.Records) == 0:
		return &FieldError{"records", "is empty, and there is no batch"}
	}
	return nil
}

// take takes one field of the request, but only checks the topic.
func (req *Request) take(f field, data []byte) error {
	want := protowire.BytesType
	switch f.num() {
	case requestPartition, requestAcks:
		want = protowire.VarintType
	case requestConditional, requestProducer:
		return &FieldError{fmt.Sprintf("field %d", f.num()), notYet}
	}
	if f.num() <= requestAcks && f.typ() != want {
		return &FieldError{requestFields[f.num()], wrongType}
	}
	switch f.num() {
	case requestRecords:
		return req.takeRecord(data)
	case requestTopic:
		if !utf8.Valid(data) {
			return &FieldError{"topic", notUTF8}
		}
	case requestBatch:
		if req.HasBatch {
			return &FieldError{"batch", "is set twice"}
		}
		req.Batch, req.HasBatch = data, true
	case requestPartition:
		req.Partition, req.HasPartition = int32(f.value), true
	case requestAcks:
		req.Acks = int32(f.value)
	}
	return nil
}

var requestFields = [...]string{
	requestRecords: "records", requestBatch: "batch", requestTopic: "topic", requestPartition: "partition", requestAcks: "acks",
}

func (req *Request) takeRecord(body []byte) error {
	if len(req.Records) == MaxRequestRecords {
		return &FieldError{"records", fmt.Sprintf("has more than %d entries", MaxRequestRecords)}
	}
	at := len(req.Records)
	if at == cap(req.Records) { // double, so that all growth together is twice the last
		req.Records = slices.Grow(req.Records, max(at, 64))
	}
	req.Records = req.Records[:at+1]
	r := &req.Records[at]
	if err := r.scan(body); err != nil {
		return err.in(fmt.Sprintf("records[%d]", at))
	}
	r.settle()
	return nil
}
