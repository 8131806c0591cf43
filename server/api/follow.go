package api

import (
	"slices"

	almadiav1 "github.com/almadia/almadia/gen/go/almadia/v1"
)

// followed are the topics of a stream that grow under it, each with the number of its
// partitions that are read.
type followed struct {
	topics  []followedTopic
	changed <-chan struct{} // closed when there may be more partitions; nil if there are no topics
	took    func(*reader)   // told of each new reader
}

type followedTopic struct {
	name  string
	id    [16]byte
	count int32
}

// followedBy are the topics that a stream names as a whole and will read on, once all its
// readers are there.
func followedBy(in pushed, rs *readers) followed {
	f := followed{took: func(*reader) {}}
	if in.GetUntilEnd() || len(in.GetTopics()) == 0 {
		return f
	}
	now := make(chan struct{})
	close(now)
	f.changed = now // to look once for what came since the readers were opened
	for _, name := range in.GetTopics() {
		i := slices.IndexFunc(rs.all, func(r *reader) bool { return r.name == name })
		t := rs.all[i].topic
		f.topics = append(f.topics, followedTopic{name, t.ID, int32(len(t.Partitions))})
	}
	return f
}

// follow takes in the partitions that topics have got meanwhile, once they have a leader. They
// are read from their first record on: what is in them was written after the stream began.
func (p *pusher) follow() error {
	select {
	case <-p.changed:
	default:
		return nil
	}
	p.changed = p.service.partitions.Changed() // before the look, or a change in between is missed
	for i := range p.topics {
		if err := p.grow(&p.topics[i]); err != nil {
			return err
		}
	}
	return nil
}

func (p *pusher) grow(f *followedTopic) error {
	t := p.service.metadata.Image().TopicByID(f.id)
	for t != nil && int(f.count) < len(t.Partitions) {
		r := newReader(spot{f.name, f.count, t})
		start := &almadiav1.Position{Position: &almadiav1.Position_Anchor{Anchor: almadiav1.Anchor_ANCHOR_EARLIEST}}
		if p.service.open(r, start, &p.readers.options) != nil {
			return nil // it will be told of as a change when it can be
		}
		if len(p.readers.all) == maxPartitions {
			return fieldError("topics", "have more than %d partitions by now; name some with partitions", maxPartitions)
		}
		p.readers.add(r, nil)
		p.took(r)
		f.count++
	}
	return nil
}
