package batch

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of LogRecord.
const (
	recordKey protowire.Number = 1 + iota
	recordValue
	recordHeaders
	recordTimestamp
	recordOffset
	recordKeyText
	recordValueText

	lastRecordField = recordValueText
)

// recordFields has the name and wire type of each.
var recordFields = [...]struct {
	name string
	typ  protowire.Type
}{
	recordKey:       {"key", protowire.BytesType},
	recordValue:     {"value", protowire.BytesType},
	recordHeaders:   {"headers", protowire.BytesType},
	recordTimestamp: {"timestamp_ms", protowire.VarintType},
	recordOffset:    {"offset", protowire.VarintType},
	recordKeyText:   {"key_text", protowire.BytesType},
	recordValueText: {"value_text", protowire.BytesType},
}

// quirks are what keeps a valid record from being stored as it was sent.
type quirks uint8

const (
	hasText   quirks = 1 << iota // key_text or value_text, also of a header
	hasTwice                     // one field twice
	hasZero                      // timestamp_ms is present and 0
	hasOffset                    // offset
)

// Record is one record of a request. Its slices alias the message.
type Record struct {
	Key          []byte // key or key_text; nil without one, empty if it is
	Timestamp    int64  // ms since the Unix epoch
	HasKey       bool
	HasTimestamp bool // timestamp_ms is set and not 0

	hasValue bool
	quirks   quirks
	headers  uint16
	seen     uint8  // bit n: field n
	stored   uint32 // size of the body as it will be stored
	value    []byte
	body     []byte // as sent
}

// scan reads an encoded LogRecord and checks the rules that hold for all of them. The
// size as stored is not known yet.
func (r *Record) scan(body []byte) *FieldError {
	*r = Record{body: body}
	for b := body; len(b) > 0; {
		f, ok := cut(b)
		if !ok {
			return &FieldError{"", malformed}
		}
		if f.num() <= lastRecordField {
			if err := r.take(f, f.data(b)); err != nil {
				return err
			}
		}
		b = b[f.size:]
	}
	const bothKeys, bothValues = 1<<recordKey | 1<<recordKeyText, 1<<recordValue | 1<<recordValueText
	switch {
	case r.seen&bothKeys == bothKeys:
		return &FieldError{"key_text", notTogether + "key"}
	case r.seen&bothValues == bothValues:
		return &FieldError{"value_text", notTogether + "value"}
	}
	r.HasKey, r.hasValue = r.seen&bothKeys != 0, r.seen&bothValues != 0
	r.HasTimestamp = r.Timestamp != 0
	return nil
}

// take takes one known field into r; of a field twice the last one counts.
func (r *Record) take(f field, data []byte) *FieldError {
	num := f.num()
	if f.typ() != recordFields[num].typ {
		return &FieldError{recordFields[num].name, wrongType}
	}
	if num == recordHeaders {
		return r.takeHeader(data)
	}
	if r.seen&(1<<num) != 0 {
		r.quirks |= hasTwice
	}
	r.seen |= 1 << num
	switch num {
	case recordKey:
		r.Key = data
	case recordValue:
		r.value = data
	case recordTimestamp:
		r.Timestamp = int64(f.value)
		if f.value == 0 {
			r.quirks |= hasZero
		}
	case recordOffset:
		r.quirks |= hasOffset
	case recordKeyText, recordValueText:
		return r.takeText(num, data)
	}
	return nil
}

func (r *Record) takeText(num protowire.Number, data []byte) *FieldError {
	if !utf8.Valid(data) {
		return &FieldError{recordFields[num].name, notUTF8}
	}
	r.quirks |= hasText
	if num == recordKeyText {
		r.Key = data
	} else {
		r.value = data
	}
	return nil
}

func (r *Record) takeHeader(body []byte) *FieldError {
	if r.headers == MaxHeaders {
		return &FieldError{"headers", fmt.Sprintf("has more than %d entries", MaxHeaders)}
	}
	var h header
	if err := h.scan(body); err != nil {
		return err.in(fmt.Sprintf("headers[%d]", r.headers))
	}
	r.headers++
	r.quirks |= h.quirks
	return nil
}

// settle fixes the size as stored; r is well-formed.
func (r *Record) settle() {
	if r.quirks == 0 {
		r.stored = uint32(len(r.body))
		return
	}
	n := unknown(r.body, lastRecordField)
	if r.HasKey {
		n += sizeBytes(len(r.Key))
	}
	if r.hasValue {
		n += sizeBytes(len(r.value))
	}
	if r.HasTimestamp {
		n += 1 + protowire.SizeVarint(uint64(r.Timestamp))
	}
	for h := range r.eachHeader {
		n += sizeBytes(h.stored())
	}
	r.stored = uint32(n)
}

// eachHeader yields the headers of a well-formed record.
func (r *Record) eachHeader(yield func(header) bool) {
	for b := r.body; len(b) > 0; {
		f, _ := cut(b)
		if f.num() == recordHeaders {
			var h header
			_ = h.scan(f.data(b)) // it was sound before
			if !yield(h) {
				return
			}
		}
		b = b[f.size:]
	}
}

// TimeRoom is what a default time adds to the size of a record at most, in bytes.
const TimeRoom = 12

// Size is the encoded size of the record as it will be stored, in bytes, tag and length
// included. A default time adds up to TimeRoom.
func (r *Record) Size() int { return sizeBytes(int(r.stored)) }

// AppendTo appends the record to a RecordSet under construction: tag, length, body. The
// body is as it was sent if that keeps the rules for stored records; else text fields
// become key and value, of a field twice the last one stays, and offset and a
// timestamp_ms of 0 stay out. With defaultTime != 0 a record without a timestamp is given
// that one.
func (r *Record) AppendTo(dst []byte, defaultTime int64) []byte {
	size := int(r.stored)
	stamp := defaultTime != 0 && !r.HasTimestamp
	if stamp {
		size += 1 + protowire.SizeVarint(uint64(defaultTime))
	}
	dst = append(dst, tagRecord)
	dst = protowire.AppendVarint(dst, uint64(size))
	if r.quirks == 0 {
		dst = append(dst, r.body...)
	} else {
		dst = r.appendBody(dst)
	}
	if stamp {
		dst = appendTime(dst, defaultTime)
	}
	return dst
}

// appendBody writes the body anew.
func (r *Record) appendBody(dst []byte) []byte {
	if r.HasKey {
		dst = appendBytes(dst, recordKey, r.Key)
	}
	if r.hasValue {
		dst = appendBytes(dst, recordValue, r.value)
	}
	for h := range r.eachHeader {
		dst = protowire.AppendTag(dst, recordHeaders, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(h.stored()))
		dst = h.append(dst)
	}
	if r.HasTimestamp {
		dst = appendTime(dst, r.Timestamp)
	}
	return appendUnknown(dst, r.body, lastRecordField)
}

const (
	tagTimestamp = byte(recordTimestamp)<<3 | byte(protowire.VarintType)
	tagOffset    = byte(recordOffset)<<3 | byte(protowire.VarintType)
)

func appendTime(dst []byte, ms int64) []byte {
	return protowire.AppendVarint(append(dst, tagTimestamp), uint64(ms))
}

// Fields of Header.
const (
	headerKey protowire.Number = 1 + iota
	headerValue
	headerValueText

	lastHeaderField = headerValueText
)

var headerFields = [...]string{headerKey: "key", headerValue: "value", headerValueText: "value_text"}

// header is one header of a record.
type header struct {
	key, value       []byte
	hasKey, hasValue bool
	quirks           quirks
	body             []byte // as sent
}

// scan reads an encoded Header and checks its rules.
func (h *header) scan(body []byte) *FieldError {
	*h = header{body: body}
	var seen uint8 // bit n: field n
	for b := body; len(b) > 0; {
		f, ok := cut(b)
		if !ok {
			return &FieldError{"", malformed}
		}
		num, data := f.num(), f.data(b)
		b = b[f.size:]
		if num > lastHeaderField {
			continue
		}
		if f.typ() != protowire.BytesType {
			return &FieldError{headerFields[num], wrongType}
		}
		if num != headerValue && !utf8.Valid(data) {
			return &FieldError{headerFields[num], notUTF8}
		}
		if seen&(1<<num) != 0 {
			h.quirks |= hasTwice
		}
		seen |= 1 << num
		if num == headerKey {
			h.key = data
		} else {
			h.value = data
		}
	}
	const text, both = 1 << headerValueText, 1<<headerValue | 1<<headerValueText
	if seen&both == both {
		return &FieldError{"value_text", notTogether + "value"}
	}
	if seen&text != 0 {
		h.quirks |= hasText
	}
	h.hasKey, h.hasValue = seen&(1<<headerKey) != 0, seen&both != 0
	return nil
}

// stored is the size as it will be stored.
func (h *header) stored() int {
	if h.quirks == 0 {
		return len(h.body)
	}
	n := unknown(h.body, lastHeaderField)
	if h.hasKey {
		n += sizeBytes(len(h.key))
	}
	if h.hasValue {
		n += sizeBytes(len(h.value))
	}
	return n
}

func (h *header) append(dst []byte) []byte {
	if h.quirks == 0 {
		return append(dst, h.body...)
	}
	if h.hasKey {
		dst = appendBytes(dst, headerKey, h.key)
	}
	if h.hasValue {
		dst = appendBytes(dst, headerValue, h.value)
	}
	return appendUnknown(dst, h.body, lastHeaderField)
}
