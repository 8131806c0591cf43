package partition

import (
	"testing"

	"github.com/almadia/almadia/raft"
	"github.com/almadia/almadia/storage/batch"
)

// headerOf commits a proposal, and is the header that its frame has then.
func headerOf(t *testing.T, h *hand, p *raft.Proposal) batch.Header {
	t.Helper()
	p.Buffer.Retain()
	defer p.Buffer.Release()
	h.commit(p)
	header, _, _, err := batch.Next(p.Frame)
	if err != nil {
		t.Fatal(err)
	}
	return header
}

// Small writes share a frame only with those of the same clock: the frame has one.
func TestOneClockPerFrame(t *testing.T) {
	h := newHand(t, 1<<20)
	for _, broker := range []bool{false, false, true, true, true, false} {
		w := write(10, true, false)
		w.BrokerTime = broker
		h.append(w)
	}
	var got []batch.Header
	for {
		proposals := h.p.Take(1 << 30)
		if len(proposals) == 0 {
			break
		}
		for _, p := range proposals {
			got = append(got, headerOf(t, h, p))
		}
	}
	if len(got) != 3 || got[0].RecordCount != 2 || got[0].BrokerTime || got[1].RecordCount != 3 || !got[1].BrokerTime || got[2].RecordCount != 1 || got[2].BrokerTime {
		t.Errorf("frames %+v", got)
	}
}

func TestACodecIsToldInTheFrame(t *testing.T) {
	h := newHand(t, 1<<20)
	w := write(50, false, false)
	w.Count, w.Codec, w.Uncompressed, w.MaxTimestamp = 7, batch.LZ4, 999, -3
	h.append(w)
	got := headerOf(t, h, h.p.Take(1 << 30)[0])
	if got.Codec != batch.LZ4 || got.Uncompressed != 999 || got.RecordCount != 7 || got.MaxTimestamp != -3 || got.BrokerTime {
		t.Errorf("header %+v", got)
	}
	if hw := h.p.View().HighWatermark; hw != 7 {
		t.Errorf("high watermark is %d, want 7", hw)
	}
}
