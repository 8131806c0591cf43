package batch

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of ProduceRequest, and of ProduceEntry, which differ in one only.
const (
	requestRecords protowire.Number = 1 + iota
	requestBatch
	requestTopic
	requestPartition
	requestFifth       // acks of a request, request_id of an entry
	requestConditional // kept free for conditional appends
	requestProducer    // kept free for idempotent producers
)

// Request is a ProduceRequest, or a ProduceEntry, cut into its parts; all slices alias the
// message.
type Request struct {
	Topic        string
	Partition    int32
	HasPartition bool
	Acks         int32    // of a request
	ID           int64    // of an entry; 0 without
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
	fifth, err := req.parse(msg, &requestFields)
	req.Acks = int32(fifth)
	return err
}

// ParseEntry is ParseRequest for an encoded ProduceEntry that is well-formed, as those of
// EachEntry are. ID is right also after an error.
func ParseEntry(body []byte, req *Request) error {
	fifth, err := req.parse(body, &entryFields)
	if err != nil {
		fifth = lastVarint(body, requestFifth)
	}
	req.ID = int64(fifth)
	return err
}

// lastVarint is the value of a varint field of a well-formed message, 0 without.
func lastVarint(msg []byte, num protowire.Number) (v uint64) {
	for len(msg) > 0 {
		f, _ := cut(msg)
		if f.num() == num && f.typ() == protowire.VarintType {
			v = f.value
		}
		msg = msg[f.size:]
	}
	return v
}

// parse returns the value of the fifth field apart.
func (req *Request) parse(msg []byte, names *fieldNames) (fifth uint64, err error) {
	*req = Request{Topic: req.Topic, Records: req.Records[:0]}
	var topic []byte
	for len(msg) > 0 {
		f, ok := cut(msg)
		if !ok {
			return 0, &FieldError{"request", malformed}
		}
		data := f.data(msg)
		msg = msg[f.size:]
		if err := req.take(f, data, names); err != nil {
			return 0, err
		}
		switch f.num() {
		case requestTopic:
			topic = data
		case requestFifth:
			fifth = f.value
		}
	}
	if req.Topic != string(topic) { // a connection writes to few topics: spare the copy
		req.Topic = string(topic)
	}
	switch {
	case req.HasBatch && len(req.Records) > 0:
		return 0, &FieldError{"batch", notTogether + "records"}
	case !req.HasBatch && len(req.Records) == 0:
		return 0, &FieldError{"records", "is empty, and there is no batch"}
	}
	return fifth, nil
}

// take takes one field of the request, but only checks the topic and the fifth.
func (req *Request) take(f field, data []byte, names *fieldNames) error {
	want := protowire.BytesType
	switch f.num() {
	case requestPartition, requestFifth:
		want = protowire.VarintType
	case requestConditional, requestProducer:
		return &FieldError{fmt.Sprintf("field %d", f.num()), notYet}
	}
	if f.num() <= requestFifth && f.typ() != want {
		return &FieldError{names[f.num()], wrongType}
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
	}
	return nil
}

type fieldNames [requestFifth + 1]string

var (
	requestFields = fieldNames{requestRecords: "records", requestBatch: "batch", requestTopic: "topic", requestPartition: "partition", requestFifth: "acks"}
	entryFields   = fieldNames{requestRecords: "records", requestBatch: "batch", requestTopic: "topic", requestPartition: "partition", requestFifth: "request_id"}
)

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
