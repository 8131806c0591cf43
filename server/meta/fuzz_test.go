package meta

import (
	"testing"

	metav1 "github.com/almadia/almadia/gen/go/almadia/meta/v1"
	"github.com/almadia/almadia/storage/batch"
)

// Whatever stands in an entry, it gives an image that holds together, or none and an error.
func FuzzStep(f *testing.F) {
	base := []*metav1.Command{
		InitCluster("c"),
		RegisterBroker(Broker{ID: 1, Endpoint: "a:1"}),
		CreateTopic(topicOn("t", 1, 1, 2)),
	}
	for _, cmd := range append(base, CreateTopic(topicOn("u", 2, 3, 1)), DeleteTopic([16]byte{15: 1}, 3), UpdateTopic(of(topicOn("t", 1, 1, 2), 3), topicOn("t", 1, 1, 3))) {
		buffer, frame, err := encode(cmd)
		if err != nil {
			f.Fatal(err)
		}
		header := batch.Seal(frame, batch.Binding{Index: 1})
		f.Add(append([]byte(nil), header.Payload(frame)...))
		buffer.Release()
	}
	f.Add([]byte("\x0a\x05\x12\x03\xc2\x3e\x00"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		im := applyAll(t, base...)
		before := describe(im)
		next, err := step(im, 10, func() ([]byte, error) { return payload, nil })
		switch {
		case next == nil && err == nil:
			t.Fatal("neither an image nor an error")
		case next == nil:
		case next.Version != 10 || err != nil && describe(next) != before:
			t.Fatalf("refused with %v, and the image is of %d:\n%s", err, next.Version, describe(next))
		default:
			checkIndexes(t, next)
		}
		if describe(im) != before {
			t.Fatal("the old image changed")
		}
	})
}
