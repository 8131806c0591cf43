package main

import (
	"bytes"
	"fmt"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"google.golang.org/protobuf/proto"
)

const (
	recordCount = 10_000
	largeRecord = recordCount / 2
	largeBytes  = 1_000_000
)

// manyRecords are records with all that records can have: every byte value in keys,
// values and headers, absent and empty ones, headers of one name, times before 1970, and
// one record of 1 MB.
func manyRecords() *almadiav1.RecordSet {
	set := &almadiav1.RecordSet{}
	for i := range recordCount {
		r := &almadiav1.LogRecord{TimestampMs: 1_600_000_000_000 + int64(i)}
		if i%7 == 0 {
			r.TimestampMs = int64(-i - 1)
		}
		r.Key = field(i, i%4, i%97)
		r.Value = field(i, i%5, i%500)
		if i == largeRecord {
			r.Value = someBytes(i, largeBytes)
		}
		for j := range i % 3 {
			r.Headers = append(r.Headers, &almadiav1.Header{Key: "größe", Value: someBytes(i+j, j*(i%60))})
		}
		set.Records = append(set.Records, r)
	}
	return set
}

// field is absent for kind 0, empty for kind 1, else so many bytes.
func field(first, kind, size int) []byte {
	switch kind {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	return someBytes(first, size)
}

// someBytes goes round all byte values, whatever the first.
func someBytes(first, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(first + i)
	}
	return b
}

// compare tells where the records that were read differ from those sent: in number, in
// order, or in any byte. What was read has offsets, from 0, without a gap.
func compare(sent, read *almadiav1.RecordSet) error {
	if len(sent.Records) != len(read.Records) {
		return fmt.Errorf("sent %d records, read %d", len(sent.Records), len(read.Records))
	}
	for i, r := range read.Records {
		if r.Offset == nil || r.GetOffset() != int64(i) {
			return fmt.Errorf("record %d has offset %d", i, r.GetOffset())
		}
		r.Offset = nil
		want, err := encode(sent.Records[i])
		if err != nil {
			return err
		}
		got, err := encode(r)
		if err != nil {
			return err
		}
		if !bytes.Equal(want, got) {
			return fmt.Errorf("record %d: sent %d bytes %.60x, read %d bytes %.60x", i, len(want), want, len(got), got)
		}
	}
	return nil
}

func encode(r *almadiav1.LogRecord) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(r)
}
