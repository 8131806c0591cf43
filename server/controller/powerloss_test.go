package controller

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/almadia/almadia/server/meta"
	"github.com/almadia/almadia/storage"
	"github.com/almadia/almadia/storage/vfs"
)

// ledger is what clients were told, over many lives of a broker.
type ledger struct {
	topics  map[string]*meta.Topic // exist
	unsure  map[string]bool        // may exist or not: the answer did not come
	records map[string]string      // by place: topic id, partition, offset
}

// Power is lost at some operation of the disk, again and again, while topics come and go and
// records are written. Every topic that was acknowledged is there with every record that was;
// every deleted one is gone, its logs too.
func TestTopicsSurvivePowerLoss(t *testing.T) {
	losses, acknowledged := 0, 0
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 4))
			told := &ledger{map[string]*meta.Topic{}, map[string]bool{}, map[string]string{}}
			disk := vfs.NewMem()
			for range 8 {
				after := told.live(t, disk, rng, 50+rng.IntN(400))
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
				if after != disk {
					losses++
				}
				disk = after
			}
			told.live(t, disk, rng, 1<<40)
			acknowledged += len(told.records)
		})
	}
	if losses < 50 || acknowledged < 200 {
		t.Errorf("%d losses and %d records are too few to mean anything", losses, acknowledged)
	}
}

// live is one life: a start, a check of all that was told, and more of it, until power is
// lost after so many operations. It returns what the disk holds then.
func (l *ledger) live(t *testing.T, disk *vfs.Mem, rng *rand.Rand, operations int) *vfs.Mem {
	after := disk
	fs := vfs.WithHook(disk, func(op vfs.Op) error {
		if op.Kind.Changes() && after == disk {
			if operations--; operations <= 0 {
				after = disk.PowerLoss(rng)
			}
		}
		return nil
	})
	time.Sleep(time.Second)
	b, err := start(t, fs)
	if err != nil {
		if after == disk {
			t.Errorf("start: %v", err)
		}
		return after
	}
	defer b.cancel()
	l.check(b, func() bool { return after != disk })
	for range 60 {
		if after != disk {
			return after
		}
		l.act(b, rng)
	}
	if err := b.stop(); err != nil && after == disk {
		t.Errorf("stop: %v", err)
	}
	return after
}

// act does one thing and notes what it was told.
func (l *ledger) act(b *broker, rng *rand.Rand) {
	name := fmt.Sprint("t", rng.IntN(4))
	topic := l.topics[name]
	switch {
	case topic == nil && !l.unsure[name]:
		topic, err := b.create(Spec{Name: name, Partitions: 1 + rng.Int32N(3)})
		if err == nil {
			l.topics[name] = topic
		} else {
			l.unsure[name] = true
		}
	case topic != nil && rng.IntN(10) == 0:
		delete(l.topics, name)
		if err := b.delete(name); err != nil {
			l.unsure[name] = true
		}
	case topic != nil && rng.IntN(10) == 0 && len(topic.Partitions) < 6:
		grown, err := b.update(Change{Name: name, Edit: to(func(d *Draft) {
			d.Partitions++
			d.Labels = map[string]string{"at": fmt.Sprint(rng.Uint32())}
		})})
		if err == nil {
			l.topics[name] = grown
		} else { // it is there for sure, before or after the change
			delete(l.topics, name)
			l.unsure[name] = true
		}
	case topic != nil:
		number, value := rng.IntN(len(topic.Partitions)), fmt.Sprint("value ", rng.Uint32())
		if at, err := b.write(topic, number, value); err == nil {
			l.records[placeOf(topic, number, at)] = value
		}
	}
}

func placeOf(t *meta.Topic, number int, at storage.Offset) string {
	return fmt.Sprintf("%x/%d/%d", t.ID, number, at)
}

// check compares the broker with what was told, unless the power goes meanwhile.
func (l *ledger) check(b *broker, lost func() bool) {
	im := b.machine.Image()
	for name, want := range l.topics {
		if got := im.Topic(name); got == nil || !reflect.DeepEqual(got, want) {
			b.t.Errorf("topic %s was acknowledged as %v and is %v", name, want, got)
		}
	}
	for _, topic := range im.Topics() {
		if l.topics[topic.Name] == nil && !l.unsure[topic.Name] {
			b.t.Errorf("topic %s is there, which nobody was told of, or was told is gone", topic.Name)
		}
		if err := b.call(func() error { return b.set.Await(b.ctx, topic) }); err != nil {
			if !lost() {
				b.t.Errorf("topic %s: %v", topic.Name, err)
			}
			return
		}
		if l.topics[topic.Name] != nil || l.unsure[topic.Name] {
			l.topics[topic.Name] = topic
			l.checkRecords(b, topic, lost)
		}
	}
	clear(l.unsure)
	l.checkLogs(b, im)
}

func (l *ledger) checkRecords(b *broker, topic *meta.Topic, lost func() bool) {
	for number, p := range topic.Partitions {
		end := b.set.Get(p.Log).View().HighWatermark
		found := 0
		for at := storage.Offset(0); at < end; at++ {
			want, told := l.records[placeOf(topic, number, at)]
			got, err := b.read(topic, number, at)
			if err != nil && !lost() || err == nil && told && got != want {
				b.t.Errorf("%s holds %q, %v; acknowledged was %q", placeOf(topic, number, at), got, err, want)
			}
			if told {
				found++
			}
		}
		prefix := strings.TrimSuffix(placeOf(topic, number, 0), "0")
		for place := range l.records {
			if strings.HasPrefix(place, prefix) {
				found--
			}
		}
		if found != 0 {
			b.t.Errorf("partition %d of %s ends at %d, before %d acknowledged records", number, topic.Name, end, -found)
		}
	}
}

// checkLogs: the store has the logs that the metadata names, and no others.
func (l *ledger) checkLogs(b *broker, im *meta.Image) {
	want := []storage.LogID{meta.MetadataLog}
	for _, topic := range im.Topics() {
		for _, p := range topic.Partitions {
			want = append(want, p.Log)
		}
	}
	slices.Sort(want)
	var got []storage.LogID
	for _, log := range b.store.Logs() {
		got = append(got, log.ID())
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("the store has logs %v, the metadata %v", got, want)
	}
}
