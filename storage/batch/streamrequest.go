package batch

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of ProduceStreamRequest.
const (
	streamInit protowire.Number = 1 + iota
	streamEntries
)

// Fields of ProduceStreamInit.
const (
	initTopic protowire.Number = 1 + iota
	initAcks
	initContinue
)

// StreamRequest is a ProduceStreamRequest cut into its parts.
type StreamRequest struct {
	HasInit bool
	Init    StreamInit

	msg []byte
}

// StreamInit is a ProduceStreamInit.
type StreamInit struct {
	Topic           string
	Acks            int32
	ContinueOnError bool
}

// ParseStreamRequest reads an encoded ProduceStreamRequest, which it aliases: whether it,
// and each entry in it, is well-formed, and what init says. Unknown fields are ignored.
// *FieldError for anything malformed. It takes no memory, however many entries there are;
// what is in them is for ParseEntry to judge.
func ParseStreamRequest(msg []byte) (StreamRequest, error) {
	r := StreamRequest{msg: msg}
	for entries := 0; len(msg) > 0; {
		f, ok := cut(msg)
		if !ok {
			return StreamRequest{}, &FieldError{"request", malformed}
		}
		data := f.data(msg)
		msg = msg[f.size:]
		var err *FieldError
		switch f.num() {
		case streamInit:
			err = r.takeInit(f, data)
		case streamEntries:
			err = checkEntry(f, data, entries)
			entries++
		}
		if err != nil {
			return StreamRequest{}, err
		}
	}
	return r, nil
}

// EachEntry yields the encoded entries, for ParseEntry.
func (r *StreamRequest) EachEntry(yield func(body []byte) bool) {
	for msg := r.msg; len(msg) > 0; {
		f, _ := cut(msg) // it was sound before
		if f.num() == streamEntries && !yield(f.data(msg)) {
			return
		}
		msg = msg[f.size:]
	}
}

func checkEntry(f field, body []byte, at int) *FieldError {
	switch {
	case f.typ() != protowire.BytesType:
		return &FieldError{fmt.Sprintf("entries[%d]", at), wrongType}
	case !wellFormed(body):
		return &FieldError{fmt.Sprintf("entries[%d]", at), malformed}
	}
	return nil
}

func (r *StreamRequest) takeInit(f field, body []byte) *FieldError {
	switch {
	case f.typ() != protowire.BytesType:
		return &FieldError{"init", wrongType}
	case r.HasInit:
		return &FieldError{"init", "is set twice"}
	}
	r.HasInit = true
	for len(body) > 0 {
		f, ok := cut(body)
		if !ok {
			return &FieldError{"init", malformed}
		}
		if err := r.Init.take(f, f.data(body)); err != nil {
			return err.in("init")
		}
		body = body[f.size:]
	}
	return nil
}

func (in *StreamInit) take(f field, data []byte) *FieldError {
	name, want := "", protowire.VarintType
	switch f.num() {
	case initTopic:
		name, want = "topic", protowire.BytesType
	case initAcks:
		name = "acks"
	case initContinue:
		name = "continue_on_error"
	default:
		return nil
	}
	if f.typ() != want {
		return &FieldError{name, wrongType}
	}
	switch f.num() {
	case initTopic:
		if !utf8.Valid(data) {
			return &FieldError{name, notUTF8}
		}
		in.Topic = string(data)
	case initAcks:
		in.Acks = int32(f.value)
	case initContinue:
		in.ContinueOnError = f.value != 0
	}
	return nil
}
