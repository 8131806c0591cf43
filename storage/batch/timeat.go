package batch

import "github.com/almadia/almadia/internal/invariant"

// TimeAt finds the first record of a verified record frame without a codec whose timestamp is at or after
// ms (since the Unix epoch), and tells its offset and timestamp. ErrCorrupt if the
// payload is not the RecordSet that the header tells of.
func TimeAt(frame []byte, h Header, ms int64) (at Offset, timestamp int64, found bool, err error) {
	return TimeFrom(frame, h, h.BaseOffset, ms)
}

// TimeFrom is TimeAt among the records from offset from on: those below a log start that
// cuts through the frame are not there any more.
func TimeFrom(frame []byte, h Header, from Offset, ms int64) (at Offset, timestamp int64, found bool, err error) {
	if h.DefaultTime() < ms {
		return 0, 0, false, nil
	}
	if h.BrokerTime {
		at = max(from, h.BaseOffset)
		return at, h.AppendTime, at < h.NextOffset(), nil
	}
	invariant.Check(h.Codec == None, "what is searched is not compressed")
	set := h.Payload(frame)
	for at = h.BaseOffset; at < h.NextOffset(); at++ {
		body, size, ok := hop(set)
		if !ok {
			return 0, 0, false, corrupt("payload has fewer than %d records", h.RecordCount)
		}
		set = set[size:]
		if at < from {
			continue
		}
		timestamp, ok = ownTime(body)
		if !ok {
			return 0, 0, false, corrupt("record %d is malformed", at)
		}
		if timestamp == 0 {
			timestamp = h.DefaultTime()
		}
		if timestamp >= ms {
			return at, timestamp, true, nil
		}
	}
	return 0, 0, false, nil
}

// ownTime is the timestamp that a record carries, 0 if none.
func ownTime(body []byte) (ms int64, ok bool) {
	for len(body) > 0 {
		f, ok := cut(body)
		if !ok {
			return 0, false
		}
		if f.num() == recordTimestamp {
			ms = int64(f.value)
		}
		body = body[f.size:]
	}
	return ms, true
}
