package storage

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	storagev1 "github.com/almadia/almadia/gen/go/almadia/storage/v1"
	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
	"github.com/almadia/almadia/storage/batch"
	"github.com/almadia/almadia/storage/vfs"
)

// TestSegmentIsProtobuf: a segment file, and two of them one behind the other, are a
// Segment message for everybody.
func TestSegmentIsProtobuf(t *testing.T) {
	f := newFixture(t, 250)
	f.append(0, 1, batch.Control(batch.Noop, nil), records(2, 5, 1700000000000, 1700000000001))
	f.append(2, 3, records(1, 50), batch.Control(batch.Trim, batch.TrimPayload(2)))
	f.flush()
	must(t, f.Close())
	var both []byte
	for _, path := range f.segmentFiles() {
		b, err := readFile(f.mem, path)
		must(t, err)
		both = append(both, b...)
	}
	if got := hex.EncodeToString(both); got != goldenSegments {
		t.Errorf("bytes on disk changed:\n%s\nwant\n%s", got, goldenSegments)
	}

	var seg storagev1.Segment
	must(t, proto.Unmarshal(both, &seg))
	if len(seg.Batches) != 2 || len(seg.Control) != 2 {
		t.Fatalf("%d batches, %d control frames", len(seg.Batches), len(seg.Control))
	}
	h := seg.Header
	if h.FormatVersion != 1 || h.LogId != 7 || h.ReplicaId != 1 || h.SegmentNumber != 2 || h.BaseOffset != 2 || h.BaseIndex != 3 {
		t.Errorf("the header of the second is %v", h)
	}
	b := seg.Batches[0]
	var set almadiav1.RecordSet
	must(t, proto.Unmarshal(b.Payload, &set))
	if b.BaseOffset != 0 || b.LeaderEpoch != 1 || b.OffsetCount != 2 || len(set.Records) != 2 || string(set.Records[1].Value) != "bbbbb" {
		t.Errorf("the first batch is %v with %v", b, &set)
	}
	c := seg.Control[1]
	if c.Kind != storagev1.ControlKind_CONTROL_KIND_TRIM || c.RaftIndex != 4 || c.BaseOffset != 3 || c.LeaderEpoch != 3 {
		t.Errorf("the second control frame is %v", c)
	}
}

const goldenSegments = "" +
	"723c0d010000001107000000000000001901000000000000002101000000000000002900000000000000003101000000" +
	"000000003d0000000045a23dec066a3b0900000000000000001101000000000000001d0100000025000000002d000000" +
	"00350000000039010000000000000045000000004d543feba0500112620900000000000000001101000000000000001d" +
	"0100000025fbeda3db2d02000000350200000039020000000000000045543feba04de107f9036081d095ffbc317a200a" +
	"0e120561616161612080d095ffbc310a0e120562626262622081d095ffbc31723c0d0100000011070000000000000019" +
	"01000000000000002102000000000000002902000000000000003103000000000000003de107f90345e6aeb714127109" +
	"02000000000000001102000000000000001d0300000025cea015332d01000000350100000039030000000000000045e1" +
	"07f9034d2729c2c97a360a34123261616161616161616161616161616161616161616161616161616161616161616161" +
	"616161616161616161616161616161616a3f0903000000000000001102000000000000001d03000000259dc44e8d2d00" +
	"0000003500000000390400000000000000452729c2c94dabfee21750037a020802"

func TestScanSegment(t *testing.T) {
	f := newFixture(t, 600)
	for i := range Index(6) {
		f.append(i, 1, records(1, 200))
	}
	f.flush()
	must(t, f.Close())
	next := 0
	for _, path := range f.segmentFiles() {
		sh, err := ScanSegment(f.mem, path, func(pos int64, h batch.Header, frame []byte) error {
			if want := f.m.frames[next]; h != want.Header || !bytes.Equal(frame, want.Bytes) {
				t.Errorf("frame at %d: %+v, want %+v", pos, h, want.Header)
			}
			next++
			return nil
		})
		if err != nil || sh.Log != 7 || sh.Replica != 1 {
			t.Errorf("%s: %+v, %v", path, sh, err)
		}
	}
	if next != len(f.m.frames) {
		t.Errorf("%d frames, want %d", next, len(f.m.frames))
	}
	path := f.segmentFiles()[1]
	stop := errors.New("enough")
	if _, err := ScanSegment(f.mem, path, func(int64, batch.Header, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the error of fn: %v", err)
	}
	flip(t, f.mem, path, 62+300)
	seen := 0
	_, err := ScanSegment(f.mem, path, func(int64, batch.Header, []byte) error { seen++; return nil })
	if !errors.Is(err, ErrCorrupt) || seen != 1 {
		t.Errorf("a bad frame behind %d good ones: %v", seen, err)
	}
}

func TestEnvelope(t *testing.T) {
	want := &storagev1.Identity{DirectoryId: bytes.Repeat([]byte{7}, 16), Starts: 3}
	b, err := seal(kindIdentity, want)
	must(t, err)
	var got storagev1.Identity
	must(t, unseal(kindIdentity, b, &got))
	if !proto.Equal(&got, want) {
		t.Errorf("got %v, want %v", &got, want)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if err := unseal(kindIdentity, bad, &got); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNewer) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if err := unseal(kindIdentity, b[:i], &got); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if err := unseal(kindCheckpoint, b, &got); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read as something else: %v", err)
	}
}

// FuzzUnseal: whatever stands in a file, reading it is an error or what was sealed.
func FuzzUnseal(f *testing.F) {
	for _, m := range []proto.Message{
		&storagev1.Identity{DirectoryId: make([]byte, 16)},
		&storagev1.Checkpoint{Lsn: 9, Logs: []*storagev1.LogState{{LogId: 1}}},
	} {
		b, err := seal(kindCheckpoint, m)
		must(f, err)
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m storagev1.Checkpoint
		if err := unseal(kindCheckpoint, b, &m); err != nil {
			return
		}
		again, err := seal(kindCheckpoint, &m)
		must(t, err)
		var got storagev1.Checkpoint
		if err := unseal(kindCheckpoint, again, &got); err != nil || !proto.Equal(&got, &m) {
			t.Errorf("%v became %v, %v", &m, &got, err)
		}
	})
}

// FuzzScanSegment: a file of any content ends in an error or frames that follow each other.
func FuzzScanSegment(f *testing.F) {
	golden, err := hex.DecodeString(goldenSegments)
	must(f, err)
	f.Add(golden)
	f.Add(golden[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := vfs.NewMem()
		writeFile(t, mem, "file", string(b))
		end := int64(batch.SegmentHeaderSize)
		_, err := ScanSegment(mem, "file", func(pos int64, h batch.Header, frame []byte) error {
			if pos != end || h.Size != len(frame) {
				t.Errorf("frame of %d bytes at %d, want %d", h.Size, pos, end)
			}
			end += int64(len(frame))
			return nil
		})
		if err == nil && end != int64(len(b)) {
			t.Errorf("ends at %d of %d without an error", end, len(b))
		}
	})
}
